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
};

/// New tokens of one sequence within a step: a prefill chunk (many) or a decode (one).
struct BatchSequence {
  std::span<const TokenId> tokens;  ///< at least one
  std::int32_t position = 0;  ///< absolute position of tokens[0]; KV of [0, position) is already written
  std::span<const std::int32_t> blocks;  ///< block table covering [0, position + tokens.size())
  bool want_logits = false;              ///< emit a logits row for the last token
};

/// The compute behind the serving core. Owned by the engine thread; no method is thread-safe.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const ModelFacts& facts() const = 0;
  /// Reserves KV memory for `blocks` blocks, numbered 0..blocks-1. Fails: resource_exhausted. Called once.
  virtual Status alloc_kv(std::int32_t blocks) = 0;
  /// One engine step over all sequences. `logits` receives one row of vocab_size floats, in batch order, for
  /// every sequence with want_logits. A row depends on its own sequence only: the same bits alone or in any
  /// batch. Fails: internal (numeric fault: NaN or infinity in a wanted row names the sequence index in
  /// `field`).
  virtual Status forward(std::span<const BatchSequence> batch, std::span<float> logits) = 0;
};

}  // namespace tidegate::worker
