#pragma once

#include <cstdint>
#include <span>

namespace tidegate::worker {

/// Bounds for exact (fp32) engines against float64 golden values (tests/golden/README.md).
inline constexpr double kTensorTolerance = 2e-4;  ///< max |difference| / rms of the golden tensor
inline constexpr double kKlTolerance = 1e-8;      ///< nats, worst row

double rms(std::span<const float> values);

/// max |a - b|; infinity when sizes differ or anything is not finite, so that NaN can never pass.
double worst_difference(std::span<const float> actual, std::span<const float> golden);

/// Worst KL(golden || actual) over rows of `columns` logits; infinity as above.
double worst_kl(std::span<const float> actual, std::span<const float> golden, std::int64_t columns);

/// Rows whose sets of `k` experts differ.
std::int64_t differing_sets(std::span<const float> actual, std::span<const float> golden, std::int64_t k);

/// max |weight difference| over experts present in both rows' lists, matched by expert, not by rank.
double worst_weight(std::span<const float> actual_experts, std::span<const float> actual_weights,
                    std::span<const float> golden_experts, std::span<const float> golden_weights,
                    std::int64_t k);

}  // namespace tidegate::worker
