// The arithmetic of AMX tiles (tile_unit.h), in numbers that tell it from every other: on the reference everywhere, on the
// instructions where they are. kernels_test and rounded_inputs_test hold both to double precision, to each other and to batch invariance.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "tests/unit/worker/backend/kernels_of.h"
#include "worker/backend/cpu/tile_unit.h"

namespace tidegate::worker::tile_kernels_test {
namespace {

using Floats = std::vector<float>;

/// [1, inputs] in bf16, which all values must be.
PackedMatrix one_output(const Floats& weights, WeightLayout layout) {
  std::vector<std::uint16_t> bits;
  for (const float weight : weights) {
    std::uint32_t wide = 0;
    std::memcpy(&wide, &weight, sizeof(wide));
    EXPECT_EQ(wide & 0xffffu, 0u) << weight;
    bits.push_back(static_cast<std::uint16_t>(wide >> 16));
  }
  const TensorView view{Dtype::kBf16, {1, std::ssize(weights)}, std::as_bytes(std::span(bits))};
  return PackedMatrix::from_tensor(view, nullptr, {}, layout);
}

class TileKernels : public KernelsOf {
 protected:
  static float multiply(const Floats& weights, const Floats& inputs) {
    return KernelsOf::multiply(one_output(weights, kernels_for(GetParam()).layout), inputs);
  }
};

constexpr float kLarge = 16777216.0f;  // 2^24: 1 beside it is lost

TEST_P(TileKernels, EvenAndOddInputsAreSummedApartAndMeetAfterThirtyTwo) {
  // One running sum would be 0 after the first pair, and 1 at the end.
  EXPECT_EQ(multiply({kLarge, -kLarge, 1, 0}, {1, 1, 1, 1}), 0.0f);
  // In the next tile the 1 meets nothing large.
  Floats weights(64, 0.0f);
  weights[0] = kLarge;
  weights[1] = -kLarge;
  weights[32] = 1;
  EXPECT_EQ(multiply(weights, Floats(64, 1.0f)), 1.0f);
}

TEST_P(TileKernels, ATileIsSummedFromZeroBeforeItMeetsTheTilesBefore) {
  // 32 ones are 32 when they come together; one by one each would be lost beside 2^25.
  Floats weights(64, 1.0f);
  std::fill(weights.begin(), weights.begin() + 32, 0.0f);
  weights[0] = 2 * kLarge;
  EXPECT_EQ(multiply(weights, Floats(64, 1.0f)), 2 * kLarge + 32);
}

TEST_P(TileKernels, SubnormalNumbersAreZero) {
  const float tiny = std::ldexp(1.0f, -130);
  EXPECT_EQ(multiply({1}, {tiny}), 0.0f) << "as an input";
  EXPECT_EQ(multiply({tiny}, {1}), 0.0f) << "as a weight";
  EXPECT_EQ(multiply({std::ldexp(1.0f, -70)}, {std::ldexp(1.0f, -70)}), 0.0f) << "as a result";
  EXPECT_EQ(multiply({std::ldexp(1.0f, -60)}, {std::ldexp(1.0f, -60)}), std::ldexp(1.0f, -120)) << "small is not subnormal";
}

TEST_P(TileKernels, InputsRoundToNearestEven) {
  EXPECT_EQ(multiply({1}, {1.0f + std::ldexp(1.0f, -8)}), 1.0f) << "a tie, to even below";
  EXPECT_EQ(multiply({1}, {1.0f + std::ldexp(3.0f, -8)}), 1.0f + std::ldexp(1.0f, -6)) << "a tie, to even above";
  EXPECT_EQ(multiply({1}, {-1.0f - std::ldexp(1.25f, -8)}), -1.0f - std::ldexp(1.0f, -7));
}

TEST_P(TileKernels, WhatIsNotFiniteComesOut) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isnan(multiply({1, 1, 1}, {0, std::nanf(""), 0})));
  EXPECT_EQ(multiply({1, 2, 1}, {0, infinity, 0}), infinity);
  EXPECT_TRUE(std::isnan(multiply({1, 0, 1}, {0, infinity, 0}))) << "zero times infinity";
}

INSTANTIATE_TEST_SUITE_P(, TileKernels, testing::Values(CpuIsa::kAmxReference, CpuIsa::kAmxBf16),
                         [](const auto& param_info) { return param_info.param == CpuIsa::kAmxBf16 ? "Instructions" : "Reference"; });

TEST(TileShapes, RegistersThatAreNotUsedHaveNoRows) {
  const TileShapes few = tile_shapes(3, 0);
  EXPECT_EQ(few.palette, 1);
  for (const int tile : {kSumTile, kSumTile + 1, kInputTile}) EXPECT_EQ(few.rows[tile], 3) << tile;
  for (const int tile : {kSumTile + 2, kSumTile + 3, kInputTile + 1}) {
    EXPECT_EQ(few.rows[tile], 0) << tile;
    EXPECT_EQ(few.row_bytes[tile], 0) << "AMX faults on bytes without rows: " << tile;
  }
  for (const int tile : {kWeightTile, kWeightTile + 1}) EXPECT_EQ(few.rows[tile], kTilePairs) << tile;
  const TileShapes many = tile_shapes(kTileRows, 5);
  EXPECT_EQ(many.rows[kSumTile + 2], 5);
  EXPECT_EQ(many.row_bytes[kSumTile + 2], kTileRowBytes);
}

}  // namespace
}  // namespace tidegate::worker::tile_kernels_test
