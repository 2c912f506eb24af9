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
/// written. A step feeds tokens [computed, computed + n); when that reaches the end, the next token is
/// sampled and handed to on_token.
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
  };

  Sequence(Request request, KvPool& pool);

  SequenceHandle handle() const { return handle_; }
  const SamplerParams& sampler() const { return sampler_; }
  std::span<const TokenId> tokens() const { return tokens_; }
  std::int32_t length() const { return static_cast<std::int32_t>(tokens_.size()); }
  std::int32_t computed() const { return computed_; }
  KvBlocks& blocks() { return blocks_; }
  const SequenceUsage& usage() const { return usage_; }
  bool is_accepted() const { return accepted_; }
  bool in_reasoning() const { return answer_.in_reasoning(); }
  /// Null if the answer is free. on_token moves it on.
  Constraint* constraint() { return constraint_ ? &*constraint_ : nullptr; }

  /// Entered the batch for the first time.
  SequenceEvent accept();
  /// KV of `count` more tokens is written.
  void advance(std::int32_t count);
  /// Left the batch because KV was short. Keeps its tokens and text; its KV will be computed again, with the
  /// same result.
  void preempt();
  /// The next token. event.finish is set if it was the last: kError (internal/constraint_broken) if the constraint does
  /// not allow it.
  SequenceEvent on_token(TokenId id, const TokenRules& rules);
  /// Ended from outside.
  SequenceEvent end(FinishReason reason, Error error = {}) const;

 private:
  SequenceHandle handle_;
  SamplerParams sampler_;
  std::int32_t completion_max_;
  std::vector<TokenId> tokens_;
  std::int32_t prompt_tokens_;
  std::int32_t computed_ = 0;
  bool accepted_ = false;
  KvBlocks blocks_;
  AnswerStream answer_;
  std::optional<Constraint> constraint_;
  SequenceUsage usage_;  ///< all zero until accepted
};

}  // namespace tidegate::worker
