// Inputs rounded to int8 (int8_rows.h): what a block is, on the reference everywhere and on the instructions where they are.
// kernels_test holds both to the bound of half a step, to each other and to batch invariance.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/unit/worker/backend/kernels_of.h"

namespace tidegate::worker::int8_kernels_test {
namespace {

using Floats = std::vector<float>;

/// A row of Q8_0 of scale 1: value(i) at input i.
template <typename Value>
PackedMatrix one_output(std::int64_t inputs, Value value) {
  std::vector<std::byte> bytes;
  for (std::int64_t i = 0; i < inputs; ++i) {
    if (i % 32 == 0) {
      bytes.push_back(std::byte{0x00});  // 1 in half precision
      bytes.push_back(std::byte{0x3c});
    }
    bytes.push_back(static_cast<std::byte>(static_cast<std::uint8_t>(value(i))));
  }
  const TensorView view{Dtype::kQ8_0, {1, inputs}, bytes};
  return PackedMatrix::from_tensor(view, nullptr, {}, WeightLayout::kQuads);
}

class Int8Kernels : public KernelsOf {};

TEST_P(Int8Kernels, TheLargestProductsDoNotSaturate) {
  // Inputs of 127 have the scale 1, and nothing is rounded.
  const auto least = one_output(64, [](std::int64_t) { return -128; });
  EXPECT_EQ(multiply(least, Floats(64, 127.0f)), -128.0f * 127 * 64);
  EXPECT_EQ(multiply(least, Floats(64, -127.0f)), 128.0f * 127 * 64);
  const auto most = one_output(64, [](std::int64_t) { return 127; });
  EXPECT_EQ(multiply(most, Floats(64, 127.0f)), 127.0f * 127 * 64);
}

TEST_P(Int8Kernels, EveryInputMeetsItsOwnWeight) {
  const auto weights = one_output(96, [](std::int64_t i) { return static_cast<int>(i) - 40; });
  for (std::size_t i = 0; i < 96; ++i) {
    Floats x(96, 0.0f);
    x[i] = 127;
    EXPECT_EQ(multiply(weights, x), 127.0f * (static_cast<float>(i) - 40)) << i;
  }
}

TEST_P(Int8Kernels, InputsRoundToNearestEvenInStepsOfTheirBlock) {
  const auto weights = one_output(32, [](std::int64_t i) { return i == 0 ? 0 : 1; });
  const auto of = [&](float x) {
    Floats inputs(32, 0.0f);
    inputs[0] = 127;  // a step is 1
    inputs[1] = x;
    return multiply(weights, inputs);
  };
  EXPECT_EQ(of(0.4f), 0.0f);
  EXPECT_EQ(of(0.5f), 0.0f);
  EXPECT_EQ(of(0.6f), 1.0f);
  EXPECT_EQ(of(1.5f), 2.0f);
  EXPECT_EQ(of(-2.5f), -2.0f);
  EXPECT_EQ(of(-126.6f), -127.0f);
}

TEST_P(Int8Kernels, ALargeInputCoarsensItsOwnBlockOnly) {
  const auto weights = one_output(64, [](std::int64_t i) { return i < 32 ? 0 : 1; });
  Floats x(64, 0.01f);
  x[0] = 1e6f;
  EXPECT_NEAR(multiply(weights, x), 0.32f, 1e-5);
  const auto first = one_output(64, [](std::int64_t i) { return i > 0 && i < 32 ? 1 : 0; });
  EXPECT_EQ(multiply(first, x), 0.0f) << "beside a million, a hundredth is nothing";
}

TEST_P(Int8Kernels, ZerosAreZeroAndWhatIsNotFiniteComesOutAsNaN) {
  const auto weights = one_output(64, [](std::int64_t) { return 3; });
  EXPECT_EQ(multiply(weights, Floats(64, 0.0f)), 0.0f);
  EXPECT_EQ(multiply(weights, Floats(64, 1e-40f)), 0.0f) << "too small for a step";
  EXPECT_NEAR(multiply(weights, Floats(64, 1e-30f)) / (64 * 3e-30f), 1.0f, 1e-5);
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    Floats x(64, 1.0f);
    x[40] = bad;
    EXPECT_TRUE(std::isnan(multiply(weights, x))) << bad;
  }
}

INSTANTIATE_TEST_SUITE_P(, Int8Kernels, testing::Values(CpuIsa::kInt8Reference, CpuIsa::kVnniInt8), [](const auto& param_info) {
  return param_info.param == CpuIsa::kVnniInt8 ? "Instructions" : "Reference";
});

}  // namespace
}  // namespace tidegate::worker::int8_kernels_test
