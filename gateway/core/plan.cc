#include "gateway/core/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "gateway/core/tool_turns.h"

namespace tidegate::gateway {
namespace {

/// Control tokens around it all, and the system text that Qwen's template writes when the conversation has none.
constexpr std::int64_t kTemplateTokensPerRequest = 64;
constexpr std::int64_t kTemplateTokensPerMessage = 8;
/// Of a tool's result beside those: the tags around it are words to some vocabularies.
constexpr std::int64_t kTemplateTokensPerResult = 16;
/// What templates say about tools in general, around each of them, and around a call.
constexpr std::int64_t kTemplateTokensForTools = 512;
constexpr std::int64_t kTemplateTokensPerTool = 64;
constexpr std::int64_t kTemplateTokensPerCall = 32;
/// What a control character (\u0001) and a number with an exponent (1e15) grow by when they are written as JSON again.
constexpr std::int64_t kEscapeGrowth = 5;
constexpr std::int64_t kNumberGrowth = 16;

std::unexpected<Error> invalid_value(std::string_view path, std::string_view name, std::string rule) {
  std::string field = path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
  std::string message = fmt::format("'{}' {}.", field, rule);
  return fail(Code::kInvalidArgument, "invalid_value", std::move(message), std::move(field));
}

std::int64_t message_bytes(const PlanMessage& message) {
  std::int64_t bytes = std::ssize(message.content) + std::ssize(message.reasoning) + std::ssize(message.tool_call_id);
  for (const ToolCall& call : message.tool_calls) {
    bytes += std::ssize(call.id) + std::ssize(call.name) + std::ssize(call.arguments);
  }
  return bytes;
}

/// Bytes that a text may grow by when a template writes it as JSON, without blanks behind commas and colons: a text gets
/// escapes, and the numbers of a document are written out.
std::int64_t json_growth(std::string_view text) {
  std::int64_t growth = 0;
  bool is_behind_digit = false;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      growth += kEscapeGrowth;
    } else if (c == '"' || c == '\\') {
      ++growth;
    } else if (is_behind_digit && (c == 'e' || c == 'E')) {
      growth += kNumberGrowth;
    }
    is_behind_digit = c >= '0' && c <= '9';
  }
  return growth;
}

std::int64_t raw_bytes(const RawPrompt& raw) {
  return std::ssize(raw.text) + (raw.suffix ? std::ssize(*raw.suffix) : 0);
}

/// Of texts, and of ids as they travel.
std::int64_t embed_bytes(const std::vector<PlanEmbedInput>& inputs) {
  constexpr std::int64_t kIdBytes = 4;
  std::int64_t bytes = 0;
  for (const PlanEmbedInput& input : inputs) bytes += std::ssize(input.text) + kIdBytes * std::ssize(input.tokens);
  return bytes;
}

Status check_bytes(std::int64_t bytes, std::string_view field) {
  if (bytes <= PlanLimits::kPromptBytesMax) return {};
  return fail(Code::kInvalidArgument, "request_too_large",
              fmt::format("'{}' has {} bytes of text; send at most {}.", field, bytes, PlanLimits::kPromptBytesMax),
              std::string(field));
}

/// `bytes`: of what travels with the messages in one frame.
Status check_messages(const std::vector<PlanMessage>& messages, std::string_view name, std::int64_t bytes) {
  if (messages.empty() || std::ssize(messages) > PlanLimits::kMessagesMax) {
    return invalid_value("", name,
                         fmt::format("has {} messages; send 1 to {}", messages.size(), PlanLimits::kMessagesMax));
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const PlanMessage& message = messages[i];
    bytes += message_bytes(message);
    if (message.begins_answer && (i + 1 < messages.size() || message.role != Role::kAssistant)) {
      return invalid_value(fmt::format("{}[{}]", name, i), "prefix",
                           "may be true on the last message only, and only when its role is assistant");
    }
  }
  return check_bytes(bytes, name);
}

/// How many answers, and what of their tokens is weighed and told. Written so that NaN fails too.
Status check_choices(const PlanSampling& sampling, std::string_view path) {
  const auto is_within = [](double value, double most) { return value >= -most && value <= most; };
  if (sampling.n < 1 || sampling.n > PlanLimits::kChoicesMax) {
    return invalid_value(path, "n", fmt::format("must be between 1 and {}", PlanLimits::kChoicesMax));
  }
  if (sampling.logprobs && (*sampling.logprobs < 0 || *sampling.logprobs > PlanLimits::kLogprobsMax)) {
    return invalid_value(path, "logprobs", fmt::format("must be between 0 and {}", PlanLimits::kLogprobsMax));
  }
  if (!is_within(sampling.presence_penalty, PlanLimits::kPenaltyMax)) {
    return invalid_value(path, "presence_penalty", "must be between -2 and 2");
  }
  if (!is_within(sampling.frequency_penalty, PlanLimits::kPenaltyMax)) {
    return invalid_value(path, "frequency_penalty", "must be between -2 and 2");
  }
  const double repetition = sampling.repetition_penalty.value_or(1);
  if (!(repetition > 0 && repetition <= PlanLimits::kRepetitionMax)) {
    return invalid_value(path, "repetition_penalty", "must be greater than 0 and at most 10");
  }
  if (std::ssize(sampling.logit_bias) > PlanLimits::kBiasesMax) {
    return invalid_value(path, "logit_bias", fmt::format("must name at most {} tokens", PlanLimits::kBiasesMax));
  }
  for (const auto& [id, bias] : sampling.logit_bias) {
    if (id < 0 || !is_within(bias, PlanLimits::kBiasMax)) {
      return invalid_value(path, "logit_bias", "must map token ids to numbers between -100 and 100");
    }
  }
  return {};
}

Status check_sampling(const PlanSampling& sampling, std::string_view path, const PlanNames& names) {
  // Written so that NaN fails too.
  if (sampling.temperature && !(*sampling.temperature >= 0 && *sampling.temperature <= PlanLimits::kTemperatureMax)) {
    return invalid_value(path, "temperature", "must be between 0 and 2");
  }
  if (sampling.top_p && !(*sampling.top_p > 0 && *sampling.top_p <= 1)) {
    return invalid_value(path, "top_p", "must be greater than 0 and at most 1");
  }
  if (sampling.top_k && (*sampling.top_k < 0 || *sampling.top_k > PlanLimits::kTopKMax)) {
    return invalid_value(path, "top_k", fmt::format("must be between 0 (off) and {}", PlanLimits::kTopKMax));
  }
  if (sampling.max_tokens < 0 || sampling.max_tokens > PlanLimits::kCompletionTokensMax) {
    return invalid_value(path, names.max_tokens, fmt::format("must be at most {}", PlanLimits::kCompletionTokensMax));
  }
  if (std::ssize(sampling.stop) > PlanLimits::kStopsMax) {
    return invalid_value(path, names.stop, fmt::format("must hold at most {} strings", PlanLimits::kStopsMax));
  }
  for (const std::string& stop : sampling.stop) {
    if (stop.empty() || std::ssize(stop) > PlanLimits::kStopBytesMax) {
      return invalid_value(path, names.stop,
                           fmt::format("must hold strings of 1 to {} bytes", PlanLimits::kStopBytesMax));
    }
  }
  return check_choices(sampling, path);
}

}  // namespace

Status check_plan(const Plan& plan, std::string_view sampling_path, const PlanNames& names) {
  if (plan.model.empty() || std::ssize(plan.model) > PlanLimits::kModelBytesMax) {
    return invalid_value("", "model", fmt::format("must be 1 to {} bytes long", PlanLimits::kModelBytesMax));
  }
  if (std::ssize(plan.end_user) > PlanLimits::kEndUserBytesMax) {
    return invalid_value("", names.user,
                         fmt::format("must be at most {} bytes long; send an id", PlanLimits::kEndUserBytesMax));
  }
  if (!plan.embed.empty()) {
    TG_TRY(check_bytes(embed_bytes(plan.embed), "input"));
  } else if (plan.raw) {
    TG_TRY(check_bytes(raw_bytes(*plan.raw), "prompt"));
  } else {
    TG_TRY(check_messages(plan.messages, names.messages,
                          tool_bytes(plan.tools) + std::ssize(plan.response_format.schema)));
    TG_TRY(check_tool_turns(plan, names));
    TG_TRY(check_tools(plan.tools, plan.tool_choice, plan.response_format, names.tools));
    const bool is_begun = plan.messages.back().begins_answer;
    if (is_begun && plan.tool_choice.is_forced()) {
      return invalid_value("", names.tools.tool_choice, "cannot ask for a call when a message begins the answer");
    }
    if (is_begun && plan.response_format.kind != FormatKind::kText) {
      return invalid_value("", names.tools.response_format, "cannot be kept when a message begins the answer");
    }
  }
  return check_sampling(plan.sampling, sampling_path, names);
}

Status check_embed_input(const PlanEmbedInput& input, const std::string& path) {
  if (input.text.empty() && input.tokens.empty()) return invalid_value("", path, "must not be empty");
  if (!input.text.empty() && !input.tokens.empty()) {
    return invalid_value("", path, "must be a text or token ids, not both");
  }
  if (std::ssize(input.tokens) > PlanLimits::kEmbedTokensMax) {
    return invalid_value("", path, fmt::format("must hold at most {} token ids", PlanLimits::kEmbedTokensMax));
  }
  if (std::ranges::any_of(input.tokens, [](std::int32_t id) { return id < 0; })) {
    return invalid_value("", path, "must hold token ids, which count from 0");
  }
  return {};
}

Status check_embed_count(std::int64_t inputs) {
  if (inputs == 0) return invalid_value("", "input", "must not be empty");
  if (inputs <= PlanLimits::kEmbedInputsMax) return {};
  return invalid_value("", "input", fmt::format("has {} texts; send at most {}", inputs, PlanLimits::kEmbedInputsMax));
}

std::optional<Role> parse_role(std::string_view name) {
  if (name == "user") return Role::kUser;
  if (name == "assistant") return Role::kAssistant;
  if (name == "system" || name == "developer") return Role::kSystem;
  return std::nullopt;
}

std::string_view role_name(Role role) {
  switch (role) {
    case Role::kSystem: return "system";
    case Role::kUser: return "user";
    case Role::kAssistant: return "assistant";
    case Role::kTool: return "tool";
  }
  return "user";
}

Status check_logprobs(const PlanSampling& sampling, std::int64_t max_tokens) {
  if (!sampling.logprobs) return {};
  const std::int64_t entries = (std::int64_t{*sampling.logprobs} + 1) * max_tokens * sampling.n;
  if (entries <= PlanLimits::kLogprobEntriesMax) return {};
  return invalid_value("", "logprobs",
                       fmt::format("may come to {} log probabilities here (alternatives and one more, times tokens, times "
                                   "answers); lower 'max_tokens', 'n' or the alternatives to have at most {}",
                                   entries, PlanLimits::kLogprobEntriesMax));
}

std::int64_t prompt_tokens_bound(const Plan& plan) {
  std::int64_t tokens = kTemplateTokensPerRequest;
  if (plan.raw) tokens += raw_bytes(*plan.raw);
  for (const PlanEmbedInput& input : plan.embed) {
    tokens += std::ssize(input.text) + std::ssize(input.tokens) + kTemplateTokensPerMessage;
  }
  for (const PlanMessage& message : plan.messages) {
    tokens += message_bytes(message) + kTemplateTokensPerMessage;
    if (message.role == Role::kTool) tokens += kTemplateTokensPerResult;
    // Templates write some arguments as JSON again: a blank behind every comma and colon, at most.
    for (const ToolCall& call : message.tool_calls) {
      tokens += std::ssize(call.arguments) + json_growth(call.arguments) + kTemplateTokensPerCall;
    }
  }
  if (!plan.tools.empty()) {
    tokens += kTemplateTokensForTools + 2 * tool_bytes(plan.tools) +
              kTemplateTokensPerTool * std::ssize(plan.tools);
    for (const PlanTool& tool : plan.tools) tokens += json_growth(tool.description);
  }
  return tokens;
}

std::int64_t prompt_ids(const Plan& plan) {
  std::int64_t ids = 0;
  for (const PlanEmbedInput& input : plan.embed) ids += std::ssize(input.tokens);
  return ids;
}

}  // namespace tidegate::gateway
