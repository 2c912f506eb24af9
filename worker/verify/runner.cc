#include "worker/verify/runner.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidegate::worker {

void TapRecorder::tap(std::string_view name, std::int32_t layer, std::int64_t rows, std::int64_t columns,
                      const float* data) {
  std::string key = layer < 0 ? std::string(name) : fmt::format("{}.{}", name, layer);
  taps_[std::move(key)] = std::vector<float>(data, data + rows * columns);
}

std::span<const float> TapRecorder::get(const std::string& name) const {
  const auto it = taps_.find(name);
  return it == taps_.end() ? std::span<const float>() : std::span<const float>(it->second);
}

Result<SequenceRunner> SequenceRunner::create(CpuBackend& backend, std::int64_t tokens_max) {
  const auto blocks = static_cast<std::int32_t>((tokens_max + kKvBlockTokens - 1) / kKvBlockTokens);
  TG_TRY(backend.alloc_kv(blocks));
  // Backwards, so that a path that ignores the block table cannot pass.
  std::vector<std::int32_t> table;
  for (std::int32_t block = blocks; block-- > 0;) table.push_back(block);
  return SequenceRunner(backend, std::move(table));
}

Result<TapRecorder> SequenceRunner::record(std::span<const TokenId> ids) {
  TapRecorder recorder;
  backend_.set_taps(&recorder);
  const auto result = step(ids, 0);
  backend_.set_taps(nullptr);
  if (!result) return fail(result.error());
  return recorder;
}

Result<std::vector<float>> SequenceRunner::prefill(std::span<const TokenId> ids, std::size_t chunk) {
  std::vector<float> logits;
  for (std::size_t at = 0; at < ids.size(); at += chunk) {
    TG_ASSIGN(logits, step(ids.subspan(at, std::min(chunk, ids.size() - at)), static_cast<std::int32_t>(at)));
  }
  return logits;
}

Result<std::vector<float>> SequenceRunner::decode(TokenId token, std::int32_t position) {
  return step({&token, 1}, position);
}

Result<std::vector<float>> SequenceRunner::step(std::span<const TokenId> tokens, std::int32_t position) {
  std::vector<float> logits(static_cast<std::size_t>(backend_.facts().vocab_size));
  const BatchSequence sequence{
      .tokens = tokens, .position = position, .blocks = blocks_, .want_logits = true};
  TG_TRY(backend_.forward({&sequence, 1}, logits));
  return logits;
}

TokenId greedy_choice(std::span<const float> logits, std::optional<std::int32_t> limit) {
  const auto allowed =
      limit ? logits.first(std::min(logits.size(), static_cast<std::size_t>(*limit))) : logits;
  return static_cast<TokenId>(std::ranges::max_element(allowed) - allowed.begin());
}

}  // namespace tidegate::worker
