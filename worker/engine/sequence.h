#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "worker/engine/answer_stream.h"
#include "worker/engine/constraint.h"
#include "worker/engine/engine.h"
#include "worker/engine/kv_pool.h"
#include "worker/engine/logit_shaper.h"
#include "worker/engine/pooling.h"
#include "worker/engine/sampler.h"
#include "worker/tokenizer/chat_template.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker {

/// What single tokens mean in the loaded model. Immutable while sequences live.
struct TokenRules {
  const Tokenizer* tokenizer = nullptr;
  std::vector<TokenId> end_tokens;
  TokenId think_end = -1;
  TokenId think = -1;
  const ChatTemplate* chat = nullptr;  ///< what tokens mean to calls; null = nothing
};

/// One request in the engine: its tokens, its KV blocks, its text, and the only counters its bill comes from.
///
/// tokens = prompt, then every sampled token that must be fed back. The KV of tokens [0, computed) is
/// written, by this sequence or by another one with the same prefix (kv_pool.h). A step feeds tokens [computed, computed + n);
/// when that reaches the end, the next token is sampled and handed to on_token. Behind the end, guesses of the next tokens
/// may be fed as well: those that turn out to be what is sampled are computed already, the others leave no trace.
class Sequence {
 public:
  struct Request {
    SequenceHandle handle = 0;
    std::vector<TokenId> prompt;  ///< at least one
    SamplerParams sampler;
    std::int32_t completion_max = 0;  ///< at least 1; what max_tokens and the context leave
    std::vector<std::string> stops;
    AnswerStream::Start start = AnswerStream::Start::kReasoning;
    std::optional<ToolParser> tools = {};
    std::optional<Constraint> constraint = {};
    std::optional<CacheSalt> salt = {};
    CacheSalt tenant = {};  ///< whose service it counts as; all zero: of those who did not say
    LogitShape shape = {};
    std::optional<std::int32_t> logprobs = {};
    std::optional<Pooler> pooler = {};  ///< set: nothing is said; the vector of the prompt is wanted
  };

  Sequence(Request request, KvPool& pool);

  SequenceHandle handle() const { return handle_; }
  const CacheSalt& tenant() const { return tenant_; }
  const SamplerParams& sampler() const { return sampler_; }
  const LogitShape& shape() const { return shape_; }
  const TokenHistory& history() const { return history_; }
  /// How many alternatives each token is told with; nullopt: no log probabilities at all.
  const std::optional<std::int32_t>& logprobs() const { return logprobs_; }
  /// Null if the sequence answers; else what its states go into.
  Pooler* pooler() { return pooler_ ? &*pooler_ : nullptr; }
  std::span<const TokenId> tokens() const { return tokens_; }
  std::int32_t length() const { return static_cast<std::int32_t>(tokens_.size()); }
  std::int32_t computed() const { return computed_; }
  KvBlocks& blocks() { return blocks_; }
  const SequenceUsage& usage() const { return usage_; }
  bool is_accepted() const { return accepted_; }
  bool in_reasoning() const { return answer_.in_reasoning(); }
  /// Null if the answer is free. on_token moves it on.
  Constraint* constraint() { return constraint_ ? &*constraint_ : nullptr; }

  /// Enters the batch: takes what the prefix cache has of its tokens.
  void adopt();
  /// Entered the batch for the first time; what was adopted is what its prompt had cached.
  SequenceEvent accept();
  /// KV of `count` more tokens is written.
  void advance(std::int32_t count);
  /// Left the batch because KV was short. Keeps its tokens and text; its KV will be computed again, with the
  /// same result.
  void preempt();
  /// The next token. event.finish is set if it was the last: kError (internal/constraint_broken) if the constraint does
  /// not allow it. `logprob` goes with the event unless the token is no text.
  SequenceEvent on_token(TokenId id, const TokenRules& rules, std::optional<TokenLogprob> logprob = std::nullopt);
  /// Ended from outside.
  SequenceEvent end(FinishReason reason, Error error = {}) const;
  /// Its share of a step's compute.
  void add_device_time(std::int64_t micros) { usage_.device_us += micros; }

  // Speculation. The guesses are what the answer says behind its last token, if they are right.
  DraftState& draft_state() { return draft_state_; }
  const std::vector<TokenId>& drafts() const { return drafts_; }
  void set_drafts(std::vector<TokenId> drafts) { drafts_ = std::move(drafts); }
  void drop_drafts() { drafts_.clear(); }
  /// A right guess would save a step: at least two tokens may still come.
  bool can_use_draft() const { return completion_max_ - usage_.completion_tokens >= 2; }
  /// Tokens [computed, computed + count), and the guesses if that reaches the end. Lives until the next call.
  std::span<const TokenId> feed(std::int32_t count);
  /// They were fed; what they were.
  std::vector<TokenId> take_drafts();
  void count_accepted() { ++usage_.accepted_tokens; }

 private:
  SequenceHandle handle_;
  CacheSalt tenant_;
  SamplerParams sampler_;
  LogitShape shape_;
  std::optional<std::int32_t> logprobs_;
  std::int32_t completion_max_;
  std::vector<TokenId> tokens_;
  std::int32_t prompt_tokens_;
  TokenHistory history_;
  std::int32_t computed_ = 0;
  bool accepted_ = false;
  KvBlocks blocks_;
  AnswerStream answer_;
  std::optional<Constraint> constraint_;
  std::optional<Pooler> pooler_;
  SequenceUsage usage_;  ///< all zero until accepted
  DraftState draft_state_;
  std::vector<TokenId> drafts_;
  std::vector<TokenId> fed_;
};

}  // namespace tidegate::worker
