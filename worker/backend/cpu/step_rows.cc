#include "worker/backend/cpu/step_rows.h"

#include <cmath>

namespace tidegate::worker {

StepRows flatten(std::span<const BatchSequence> batch, std::span<const double> frequencies,
                 double multiplier) {
  StepRows out;
  for (std::size_t s = 0; s < batch.size(); ++s) {
    const BatchSequence& sequence = batch[s];
    for (std::size_t i = 0; i < sequence.tokens.size(); ++i) {
      out.rows.push_back({sequence.tokens[i], sequence.position + static_cast<std::int32_t>(i),
                          static_cast<std::int32_t>(s)});
    }
    out.blocks.push_back(sequence.blocks);
    out.length.push_back(sequence.position + static_cast<std::int32_t>(sequence.tokens.size()));
  }
  // Once per step for all layers. In double: a float angle at position 160,000 would be off by 0.01 rad.
  out.cosine.reserve(out.rows.size() * frequencies.size());
  out.sine.reserve(out.rows.size() * frequencies.size());
  for (const StepRows::Row& row : out.rows) {
    for (const double frequency : frequencies) {
      out.cosine.push_back(static_cast<float>(std::cos(row.position * frequency) * multiplier));
      out.sine.push_back(static_cast<float>(std::sin(row.position * frequency) * multiplier));
    }
  }
  return out;
}

void apply_rope(std::span<float> x, const float* cosine, const float* sine, RopeLayout layout) {
  const std::size_t pairs = x.size() / 2;
  const bool is_interleaved = layout == RopeLayout::kInterleaved;
  for (std::size_t i = 0; i < pairs; ++i) {
    float& u = x[is_interleaved ? 2 * i : i];
    float& v = x[is_interleaved ? 2 * i + 1 : i + pairs];
    const float rotated = u * cosine[i] - v * sine[i];
    v = u * sine[i] + v * cosine[i];
    u = rotated;
  }
}

}  // namespace tidegate::worker
