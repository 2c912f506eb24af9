#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/result.h"
#include "worker/engine/cache_salt.h"
#include "worker/engine/tool_call_delta.h"
#include "worker/engine/token_logprob.h"
#include "worker/engine/tool_parser.h"
#include "worker/tokenizer/chat_message.h"
#include "worker/tokenizer/raw_prompt.h"
#include "worker/tokenizer/tool_spec.h"

/// The serving core as its host (worker/rpc) sees it. No gRPC here. Two kinds implement it: the real engine
/// (engine_core.h) and the plainly labelled load-test engine (sim_engine.h).
namespace tidegate::worker::grammar {
class Grammar;
}

namespace tidegate::worker {

/// What both kinds refuse a request with; `field` as the request names it.
inline std::unexpected<Error> invalid(std::string reason, std::string message, std::string field) {
  return fail(Code::kInvalidArgument, std::move(reason), std::move(message), std::move(field));
}

/// Chosen by the host, unique among live sequences. Never reused within a process.
using SequenceHandle = std::uint64_t;

/// Unset fields take the model's generation defaults.
struct SamplingParams {
  std::optional<double> temperature;  ///< 0..2; 0 is greedy
  std::optional<double> top_p;        ///< (0, 1]
  std::optional<std::int32_t> top_k;  ///< 0 = off
  std::optional<std::uint64_t> seed;  ///< same seed, request and weights: same tokens, whatever the batch
  std::int32_t max_tokens = 0;        ///< completion ceiling incl. reasoning; 0 = to the end of the context
  std::vector<std::string> stop;  ///< at most 16, matched on the answer text; the stop text is not emitted
  std::int32_t n = 1;  ///< answers to the one prompt, 1..16; from the second on their seeds are derived from `seed`
  /// Log probabilities of the answer's tokens, each with so many alternatives (0..20); unset: none.
  std::optional<std::int32_t> logprobs = {};
  double frequency_penalty = 0;   ///< -2..2
  double presence_penalty = 0;    ///< -2..2
  double repetition_penalty = 1;  ///< above 0, at most 10; 1 = off
  std::map<std::int32_t, double> logit_bias = {};  ///< by token id, -100..100; at most 1,024
};

/// What an answer may or must call.
struct ToolChoice {
  enum class Mode : std::uint8_t { kAuto, kNone, kRequired, kFunction };
  Mode mode = Mode::kAuto;
  std::string name;  ///< of kFunction

  bool is_forced() const { return mode == Mode::kRequired || mode == Mode::kFunction; }
};

/// What the content of an answer must look like.
struct ResponseFormat {
  enum class Kind : std::uint8_t { kText, kJsonObject, kJsonSchema };
  Kind kind = Kind::kText;
  std::string schema;  ///< of kJsonSchema
  bool strict = false;
};

/// Everything of a request that is about tools and formats. Of a raw prompt all of it is unset.
struct ToolOffer {
  std::vector<ToolSpec> tools;
  ToolChoice choice;
  bool is_parallel = true;  ///< false: one call an answer at most
  ResponseFormat format;

  /// The tools that the prompt describes and the answer may call.
  std::span<const ToolSpec> open() const {
    return choice.mode == ToolChoice::Mode::kNone ? std::span<const ToolSpec>() : std::span<const ToolSpec>(tools);
  }
};

/// A text whose vector is wanted.
struct EmbedInput {
  std::string text;
  std::vector<TokenId> tokens = {};  ///< instead of the text; no control tokens
  bool is_encoded = false;  ///< `tokens` are what Engine::encode() made: whole, and not looked at again
};

struct GenerateRequest {
  SequenceHandle handle = 0;
  std::vector<ChatMessage> messages;
  std::optional<RawPrompt> raw = {};  ///< instead of messages
  SamplingParams sampling;
  ToolOffer offer = {};
  RequestId request = {};  ///< makes the ids of calls
  /// Who may share what is computed of the prompt, and of whose this request may use; unset: nobody, and nothing.
  std::optional<CacheSalt> cache_salt = {};
  /// Instead of messages and of everything about an answer: vectors of these.
  std::vector<EmbedInput> embed = {};
  /// What the content may say (thinking is free): what Engine::compile() made of `offer`; null: submit() compiles it. Shared:
  /// it is immutable, and requests with one schema share it.
  std::shared_ptr<const grammar::Grammar> constraint = {};

  /// The answer has no thinking, or none left: the prompt is raw, or ends in the content of the answer.
  bool skips_thinking() const {
    const ChatMessage* opening = opening_of(messages);
    return raw.has_value() || (opening != nullptr && (!opening->content.empty() || opening->ends_thinking));
  }
  /// What the ids of this request's calls end in: twelve bytes of its id, the random ones among them.
  std::string call_id_suffix() const;
  /// Reads the calls of this request's answer; nullopt when there are none to make.
  std::optional<ToolParser> parser(ToolSyntax syntax) const;
};

/// Counted by the sequence's state machine, never from emitted text.
struct SequenceUsage {
  std::int32_t prompt_tokens = 0;
  /// Part of prompt_tokens served from the prefix cache when the sequence was accepted; what is computed again after a
  /// preemption is nobody's bill.
  std::int32_t cached_tokens = 0;
  std::int32_t completion_tokens = 0;  ///< includes reasoning tokens and the end token if one was sampled
  std::int32_t reasoning_tokens = 0;   ///< tokens up to and including </think>; all of them if it never came
  std::int32_t drafted_tokens = 0;     ///< guessed by the draft layer and checked; nobody's bill
  std::int32_t accepted_tokens = 0;    ///< of them: were what was sampled, and are among completion_tokens
  std::int64_t device_us = 0;          ///< its share of the time that its steps computed, by tokens fed
};

/// Numbers are kept on disk (worker/meter): new ones come last.
enum class FinishReason : std::uint8_t { kStop, kLength, kCancelled, kError, kToolCalls };

/// What one sequence did in one step. A sequence yields one accepted event (prompt_tokens known), then
/// deltas, then exactly one finished event (a request with several answers too: with the end of its last one). The
/// accepted event carries no text; a finished event may carry the last of it. Cancelled while still waiting: no accepted
/// event, and usage is all zero, for nothing was computed.
struct SequenceEvent {
  static constexpr std::int32_t kWholeRequest = -1;  ///< as `choice`: a fault or a cancel ended all of them

  SequenceHandle handle = 0;
  bool accepted = false;  ///< first event: admitted to the batch, usage.prompt_tokens is exact
  std::string reasoning;  ///< whole UTF-8 code points; may be empty
  std::string content;    ///< whole UTF-8 code points; may be empty
  ToolCallDeltas tool_calls;  ///< behind `content`; whole UTF-8 code points too
  std::vector<TokenLogprob> logprobs;  ///< one for each token of text sampled in this step, if the request wants them
  /// Of a request with several answers: whose event this is. The totals are the request's all the same.
  std::int32_t choice = 0;
  std::optional<FinishReason> choice_finish;  ///< of a request with several answers: how this one ended
  std::vector<float> embedding = {};  ///< of a request for vectors: that of its input `choice`, of length 1
  SequenceUsage usage;    ///< running totals after this step
  std::optional<FinishReason> finish;
  std::string stop_text;  ///< finish == kStop because of a stop string: that string
  Error error;            ///< set when finish == kError
};

/// `later` of the same sequence joins `event`: text is appended, totals and end are the latest.
void append(SequenceEvent& event, SequenceEvent later);

/// What an engine can do beside answering a prompt once; what it cannot, submit() refuses by name.
struct EngineAbilities {
  bool choices = false;     ///< SamplingParams::n above 1
  bool logprobs = false;
  bool penalties = false;
  bool logit_bias = false;
  bool count = false;       ///< count_prompt()
  bool embed = false;       ///< GenerateRequest::embed
};

struct EngineFacts {
  std::string engine;  ///< "cpu", "sim" or "external"
  std::string architecture;
  std::string weights_digest;
  std::int32_t context_max = 0;
  std::int32_t sequences_max = 0;
  std::int64_t kv_tokens_capacity = 0;
  double prefill_tokens_per_second = 0;  ///< 0: not known in advance
  EngineAbilities abilities = {};
};

struct EngineLoad {
  std::int32_t sequences_running = 0;
  std::int32_t sequences_waiting = 0;
  std::int64_t kv_tokens_used = 0;
  std::int64_t kv_tokens_idle = 0;      ///< cached prefixes that nobody uses now: free, and worth keeping
  std::int64_t prompt_tokens_left = 0;  ///< of accepted sequences: not computed yet
  std::int64_t steps_total = 0;
  std::int64_t prompt_tokens_total = 0;  ///< of accepted sequences
  std::int64_t cached_tokens_total = 0;  ///< of them: from the prefix cache
  std::int64_t completion_tokens_total = 0;
  std::int64_t drafted_tokens_total = 0;
  std::int64_t accepted_tokens_total = 0;
  std::int64_t preemptions_total = 0;  ///< sequences thrown out for want of KV and computed again
  double step_seconds_last = 0;
};

/// One thread calls everything but what says otherwise. submit and cancel take effect at the next step.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const EngineFacts& facts() const = 0;
  /// What an answer must follow, for GenerateRequest::constraint. A schema may take as long as many steps: whoever shares
  /// the engine's thread with others compiles before. Any thread, at any time, beside all other calls. null: nothing asks
  /// for a form, or submit() knows better why it cannot be. Fails: invalid_argument/unsupported_response_format, as
  /// submit() does of what was not compiled.
  virtual Result<std::shared_ptr<const grammar::Grammar>> compile(const ToolOffer& /*offer*/) {
    return std::shared_ptr<const grammar::Grammar>();
  }
  /// Makes the tokens of GenerateRequest::embed as submit() would, but for those that were made before: so many texts
  /// may take as long as many steps. Nothing of the engine that changes is read: any thread. An engine that leaves it
  /// to submit() does nothing. Fails as submit() does; what of `inputs` was encoded by then stays so.
  virtual Status encode(std::vector<EmbedInput>& /*inputs*/) const { return {}; }
  /// Fails: invalid_argument (context_length_exceeded, ...; field names the parameter), resource_exhausted.
  virtual Status submit(GenerateRequest request) = 0;
  /// Unknown handles are ignored (the sequence may have just finished). Its last event is finish =
  /// kCancelled.
  virtual void cancel(SequenceHandle handle) = 0;
  virtual bool idle() const = 0;
  /// Runs one step over every live sequence and returns what happened. Never blocks on anything but compute
  /// (the sim engine paces itself against its clock instead and may return nothing).
  virtual std::vector<SequenceEvent> step() = 0;
  virtual EngineLoad load() const = 0;
  /// Tokens of the request's prompt, exactly as submit() would have them. Nothing is computed, and nothing of the engine that
  /// changes is read: any thread. Fails: unimplemented/count_unsupported, invalid_argument/context_length_exceeded when the
  /// bytes alone prove that no context holds it, and as submit() for tools.
  virtual Result<std::int32_t> count_prompt(const GenerateRequest& /*request*/) const {
    return fail(Code::kUnimplemented, "count_unsupported", "this engine does not count prompts");
  }
  /// For an engine that paces itself: step() returns nothing before this instant, so the host may sleep until
  /// then (or until a new request). nullopt = step() has work whenever the engine is not idle.
  virtual std::optional<Mono> next_step_at() const { return std::nullopt; }
  /// For an engine whose events come from elsewhere: it calls `wake`, from any thread, when next_step_at() has become earlier
  /// than it was. Set before the first submit; with an empty one nobody is called any more once this has returned.
  virtual void set_wake(std::function<void()> /*wake*/) {}
};

}  // namespace tidegate::worker
