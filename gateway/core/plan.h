#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "gateway/core/plan_tools.h"
#include "gateway/core/service_tier.h"
#include "gateway/core/tool_call.h"

namespace tidegate::gateway {

enum class Role : std::uint8_t { kSystem, kUser, kAssistant, kTool };

struct PlanMessage {
  Role role = Role::kUser;
  std::string content;  ///< valid UTF-8
  /// Of a message that begins the answer: thinking that stands before its content. Other thinking is no part of a plan.
  std::string reasoning = {};
  /// On the last message only, an assistant's: the answer goes on where it ends.
  bool begins_answer = false;
  std::vector<ToolCall> tool_calls = {};  ///< of an assistant's message; check_tool_turns says where they may stand
  std::string tool_call_id = {};          ///< of a tool's message: the call that it answers
};

/// A prompt without a conversation: no chat template is put around it, and the model does not think first.
struct RawPrompt {
  std::string text;                        ///< valid UTF-8
  std::optional<std::string> suffix = {};  ///< set: the answer is what belongs between the two
};

/// A text whose vector is wanted.
struct PlanEmbedInput {
  std::string text;                       ///< valid UTF-8
  std::vector<std::int32_t> tokens = {};  ///< instead of the text; the worker knows which ids are text
};

/// Unset fields take the model's own defaults.
struct PlanSampling {
  std::optional<double> temperature;  ///< 0..2
  std::optional<double> top_p;        ///< (0, 1]
  std::optional<std::int32_t> top_k;  ///< 0 = off
  std::optional<std::uint64_t> seed;
  std::int32_t max_tokens = 0;        ///< completion ceiling incl. reasoning; 0 = the gateway's default
  std::vector<std::string> stop;
  std::int32_t n = 1;  ///< answers to the one prompt
  /// Each token of the answers comes with its log probability, and so many alternatives; unset: none.
  std::optional<std::int32_t> logprobs = {};
  double frequency_penalty = 0;                        ///< -2..2
  double presence_penalty = 0;                         ///< -2..2
  std::optional<double> repetition_penalty = {};       ///< above 0, at most 10; 1 = off
  std::map<std::int32_t, double> logit_bias = {};      ///< by token id, -100..100
};

/// What a client asked for, whatever dialect it spoke. Made by a parser that has checked every bound below.
struct Plan {
  std::string model;  ///< as the client wrote it
  std::vector<PlanMessage> messages;
  std::optional<RawPrompt> raw;  ///< instead of messages
  std::vector<PlanEmbedInput> embed = {};  ///< instead of both: vectors of these, and no answer
  std::vector<PlanTool> tools;
  PlanToolChoice tool_choice;
  std::optional<bool> parallel_tool_calls;  ///< false: one call an answer at most
  PlanFormat response_format;
  PlanSampling sampling;
  std::optional<bool> thinking;  ///< false: the answer comes at once; else as the model is used to
  bool is_stream = false;
  bool include_usage = false;
  std::optional<ServiceTier> tier = {};  ///< asked for; unset = the usual one
  bool names_tier = false;               ///< the client spoke of tiers at all, so the answer says which it was
  std::string end_user;  ///< whom the client serves, in its own words; caps of end users tell them apart
  /// Fields that were read and have no effect: known ones with a harmless value, and unknown ones. For a metric.
  std::int32_t fields_ignored = 0;

  /// What comes back: vectors, or answers to the one prompt.
  std::int32_t answers() const { return embed.empty() ? sampling.n : static_cast<std::int32_t>(embed.size()); }
};

/// Bounds of every dialect. The server bounds the body (bytes) before a parser sees it.
struct PlanLimits {
  static constexpr std::int64_t kMessagesMax = 2'048;
  static constexpr std::int64_t kModelBytesMax = 128;
  static constexpr std::int64_t kEndUserBytesMax = 512;  ///< as DeepSeek's user_id
  static constexpr std::int64_t kStopsMax = 16;
  static constexpr std::int64_t kStopBytesMax = 256;
  static constexpr std::int64_t kCompletionTokensMax = 393'216;
  static constexpr std::int64_t kTopKMax = 1'000'000;
  static constexpr double kTemperatureMax = 2.0;
  static constexpr std::int32_t kChoicesMax = 16;
  static constexpr std::int64_t kEmbedInputsMax = 256;
  static constexpr std::int64_t kEmbedTokensMax = 393'216;  ///< of one input; the model's context is less
  static constexpr std::int32_t kLogprobsMax = 20;   ///< alternatives of one token
  static constexpr double kPenaltyMax = 2.0;
  static constexpr double kRepetitionMax = 10.0;
  static constexpr double kBiasMax = 100.0;
  static constexpr std::int64_t kBiasesMax = 1'024;
  /// Log probabilities of one request: of each token and of each of its alternatives. They are some fifty bytes each,
  /// and wait in memory for a client that reads slowly.
  static constexpr std::int64_t kLogprobEntriesMax = 524'288;
  /// All contents together: a session frame holds 4 MiB, and no model reads more.
  static constexpr std::int64_t kPromptBytesMax = 3'000'000;
};

/// The wire's role names of whoever speaks; "developer" is a system message. nullopt for every other word: what a tool
/// says has another shape in each dialect.
std::optional<Role> parse_role(std::string_view name);
std::string_view role_name(Role role);

/// What a dialect calls the fields that check_plan names in its errors. Views of literals.
struct PlanNames {
  std::string_view messages = "messages";
  std::string_view user = "user";
  std::string_view max_tokens = "max_tokens";
  std::string_view stop = "stop";
  ToolNames tools = {};
};

/// The bounds that every dialect shares. `sampling_path` stands before the names of sampling fields ("" | "sampling").
/// A message that begins the answer is `prefix` to every dialect.
/// Fails: invalid_argument/invalid_value or request_too_large, naming field, limit and fix.
Status check_plan(const Plan& plan, std::string_view sampling_path, const PlanNames& names = {});

/// A text whose vector is wanted, and how many of them. `path`: what the dialect calls this one.
/// Fails: invalid_argument/invalid_value.
Status check_embed_input(const PlanEmbedInput& input, const std::string& path);
Status check_embed_count(std::int64_t inputs);

/// Log probabilities that answers of `max_tokens` each may need.
/// Fails: invalid_argument/invalid_value when they are too many.
Status check_logprobs(const PlanSampling& sampling, std::int64_t max_tokens);

/// No tokenizer makes more tokens than the text has bytes; the template adds a few control tokens a message, a system
/// text where there is none, and the escapes of what it writes as JSON.
/// Used for the hold, before the worker has counted.
std::int64_t prompt_tokens_bound(const Plan& plan);
/// Those of it that came as ids: they are counted already.
std::int64_t prompt_ids(const Plan& plan);

}  // namespace tidegate::gateway
