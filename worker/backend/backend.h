#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/core/result.h"

namespace tidegate::worker {

using TokenId = std::int32_t;

/// Tokens in one KV block. A sequence's block table holds ceil(length / kKvBlockTokens) block numbers.
inline constexpr std::int32_t kKvBlockTokens = 64;

/// What the serving core must know of a loaded model. Immutable after load.
struct ModelFacts {
  std::string architecture;      ///< Hugging Face class, e.g. "DeepseekV3ForCausalLM"
  std::string weights_digest;    ///< "sha256:<hex>" over the weight files, for receipts
  std::int32_t vocab_size = 0;   ///< rows of the output head = width of a logits row
  std::int32_t context_max = 0;  ///< prompt + completion, tokens
  std::int64_t parameters = 0;
  std::int64_t weight_bytes = 0;
  std::int64_t kv_bytes_per_token = 0;
  std::int32_t hidden_size = 0;  ///< of a token's state
};

/// What the draft layer remembers of one sequence between steps: the main model's states at the last tokens it was fed.
/// Written by the backend; the engine reads `position` only, and forgets it all when the sequence's KV goes.
struct DraftState {
  std::vector<float> hidden;   ///< one row a token
  std::int32_t position = -1;  ///< of the first row; -1: nothing is remembered
};

/// New tokens of one sequence within a step: a prefill chunk (many), a decode (one), or a decode and guesses behind it.
struct BatchSequence {
  std::span<const TokenId> tokens;  ///< at least one
  std::int32_t position = 0;  ///< absolute position of tokens[0]; KV of [0, position) is already written
  std::span<const std::int32_t> blocks;  ///< block table covering [0, position + tokens.size())
  bool want_logits = false;              ///< emit a logits row for the last token that is no guess, and for each guess
  std::int32_t drafts = 0;               ///< how many of the last tokens are guesses; 0 without want_logits
  DraftState* draft_state = nullptr;     ///< set: the draft layer follows this sequence. Needs can_draft()
  float* states = nullptr;  ///< set: receives the states of its tokens behind the last norm, [tokens][hidden_size]
};

/// A sequence behind a forward() with its draft_state, and the tokens that have become certain by it.
struct DraftSequence {
  std::span<const TokenId> tokens;       ///< at [state->position + 1, ...); at least one, at most as many as wanted rows
  std::span<const std::int32_t> blocks;  ///< as in that forward()
  DraftState* state = nullptr;           ///< forgotten afterwards: the tokens are known to the draft layer
};

/// The compute behind the serving core. Owned by the engine thread; no method is thread-safe.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const ModelFacts& facts() const = 0;
  /// Reserves KV memory for `blocks` blocks, numbered 0..blocks-1. Fails: resource_exhausted. Called once.
  virtual Status alloc_kv(std::int32_t blocks) = 0;
  /// One engine step over all sequences. `logits` receives one row of vocab_size floats, in batch order, for
  /// every sequence with want_logits (1 + drafts rows, in order). A row depends on its own sequence only: the same bits
  /// alone or in any batch. Fails: internal (numeric fault: NaN or infinity in a wanted row or
  /// state names the sequence index in `field`).
  virtual Status forward(std::span<const BatchSequence> batch, std::span<float> logits) = 0;

  /// The model has a layer that guesses the token after the next one (multi-token prediction), and it is loaded.
  virtual bool can_draft() const { return false; }
  /// Guesses: one row of logits a sequence, for the token behind its last one. They may be wrong, or not even finite, and
  /// change nothing but speed: forward() on the guess tells. Only after can_draft().
  virtual Status draft(std::span<const DraftSequence> batch, std::span<float> logits);
};

inline Status Backend::draft(std::span<const DraftSequence>, std::span<float>) {
  return fail(Code::kUnimplemented, "no_draft_layer", "this backend has no draft layer");
}

}  // namespace tidegate::worker
