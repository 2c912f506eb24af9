#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/backend/backend.h"
#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// A batch laid flat: one row per new token, sequences one after another.
struct StepRows {
  struct Row {
    TokenId token = 0;
    std::int32_t position = 0;
    std::int32_t sequence = 0;  ///< index in the batch
  };
  std::vector<Row> rows;
  std::vector<std::span<const std::int32_t>> blocks;  ///< by sequence
  std::vector<std::int32_t> length;                   ///< by sequence: tokens written after this step
  std::vector<float> cosine;                          ///< [row][rope_dim / 2]
  std::vector<float> sine;

  [[nodiscard]] std::int64_t count() const { return static_cast<std::int64_t>(rows.size()); }
  [[nodiscard]] std::int32_t block_of(const Row& row, std::int32_t position) const {
    return blocks[static_cast<std::size_t>(row.sequence)]
                 [static_cast<std::size_t>(position / kKvBlockTokens)];
  }
};

/// `frequencies` from rope_frequencies(), `multiplier` from rope_multiplier().
StepRows flatten(std::span<const BatchSequence> batch, std::span<const double> frequencies,
                 double multiplier);

/// Rotates the pairs of one vector of rope_dim floats in place.
void apply_rope(std::span<float> x, const float* cosine, const float* sine, RopeLayout layout);

}  // namespace tidegate::worker
