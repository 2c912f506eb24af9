#include "worker/engine/logit_shaper.h"

namespace tidegate::worker {

TokenHistory::TokenHistory(const LogitShape& shape, std::span<const TokenId> prompt) : is_kept_(shape.needs_history()) {
  if (shape.repetition_penalty == 1) return;
  for (const TokenId id : prompt) sampled_.try_emplace(id, 0);
}

std::span<const float> LogitShaper::apply(std::span<const float> raw, const LogitShape& shape,
                                          const TokenHistory& history) {
  if (shape.is_neutral()) return raw;
  shaped_.assign(raw.begin(), raw.end());
  // Every token by itself, so that the order of the map changes no bit.
  for (const auto& [id, count] : history.sampled()) {
    if (id < 0 || static_cast<std::size_t>(id) >= shaped_.size()) continue;
    float& logit = shaped_[static_cast<std::size_t>(id)];
    double bent = logit;
    if (shape.repetition_penalty != 1) {
      bent = bent > 0 ? bent / shape.repetition_penalty : bent * shape.repetition_penalty;
    }
    if (count > 0) bent -= shape.frequency_penalty * count + shape.presence_penalty;
    logit = static_cast<float>(bent);
  }
  for (const auto& [id, bias] : shape.bias) shaped_[static_cast<std::size_t>(id)] += bias;
  return shaped_;
}

}  // namespace tidegate::worker
