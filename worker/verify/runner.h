#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "worker/backend/cpu/cpu_backend.h"

namespace tidegate::worker {

/// Keeps everything a forward pass taps, by name ("attn.1", "logits").
class TapRecorder final : public TapSink {
 public:
  void tap(std::string_view name, std::int32_t layer, std::int64_t rows, std::int64_t columns,
           const float* data) override;
  /// Empty when the pass did not tap it.
  [[nodiscard]] std::span<const float> get(const std::string& name) const;

 private:
  std::map<std::string, std::vector<float>> taps_;
};

/// Runs one sequence at a time on a backend, the way a serving core would: paged, in chunks, then token by
/// token.
class SequenceRunner {
 public:
  /// Reserves KV memory for the longest of the sequences, `tokens_max` tokens. Once per backend.
  static Result<SequenceRunner> create(CpuBackend& backend, std::int64_t tokens_max);

  /// The whole prompt as one chunk, with taps.
  Result<TapRecorder> record(std::span<const TokenId> ids);

  /// Logits after `ids`, fed in chunks of at most `chunk` tokens.
  Result<std::vector<float>> prefill(std::span<const TokenId> ids, std::size_t chunk);
  /// Logits after one more token at `position`.
  Result<std::vector<float>> decode(TokenId token, std::int32_t position);

 private:
  SequenceRunner(CpuBackend& backend, std::vector<std::int32_t> blocks)
      : backend_(backend), blocks_(std::move(blocks)) {}
  Result<std::vector<float>> step(std::span<const TokenId> tokens, std::int32_t position);
  CpuBackend& backend_;
  std::vector<std::int32_t> blocks_;
};

/// Index of the largest of the first `limit` logits; equal ones: the lower index.
TokenId greedy_choice(std::span<const float> logits, std::optional<std::int32_t> limit);

}  // namespace tidegate::worker
