// Every bound that encode.h states, held on random values and on those at the edges of each type.
#include "worker/format/encode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "base/core/random.h"
#include "worker/format/safetensors.h"

namespace tidegate::worker::encode_test {
namespace {

/// Magnitudes from 2^-20 to 2^12 and both signs: nothing like weights, so that every exponent is met.
std::vector<float> lively_values(std::size_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> out;
  for (std::size_t i = 0; i < count; ++i) {
    const auto fraction = 1.0f + static_cast<float>(rng.below(1 << 20)) / (1 << 20);
    const float value = std::ldexp(fraction, static_cast<int>(rng.below(32)) - 20);
    out.push_back(rng.below(2) == 0 ? value : -value);
  }
  return out;
}

std::vector<std::byte> encoded(Dtype dtype, std::span<const float> values) {
  const DtypeBlock block = dtype_block(dtype);
  std::vector<std::byte> out(values.size() / static_cast<std::size_t>(block.elements) * static_cast<std::size_t>(block.bytes));
  const Status status = encode_values(dtype, values, out.data());
  EXPECT_TRUE(status) << status.error().to_string();
  return out;
}

std::vector<float> there_and_back(Dtype dtype, std::span<const float> values) {
  const std::vector<std::byte> bytes = encoded(dtype, values);
  const TensorView view{dtype, {static_cast<std::int64_t>(values.size())}, bytes};
  return to_floats(view);
}

TEST(Encode, EveryHalfFloatComesBackAsItself) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = f16_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(value))));
    } else {
      ASSERT_EQ(float_to_f16(value), half) << bits;
    }
  }
}

TEST(Encode, EveryE4m3ComesBackAsItself) {
  for (std::uint32_t bits = 0; bits < 0x100; ++bits) {
    const auto code = static_cast<std::uint8_t>(bits);
    if (e4m3_is_nan(code)) continue;
    ASSERT_EQ(float_to_e4m3(e4m3_to_float(code)), code) << bits;
  }
}

TEST(Encode, BetweenTwoCodesTheNearestWinsAndOfTwoTheEvenOne) {
  for (std::uint8_t code = 0; code < 0x7e; ++code) {
    const float low = e4m3_to_float(code);
    const float high = e4m3_to_float(static_cast<std::uint8_t>(code + 1));
    const float middle = (low + high) / 2;
    EXPECT_EQ(float_to_e4m3(std::nextafter(middle, 0.0f)), code);
    EXPECT_EQ(float_to_e4m3(std::nextafter(middle, 1000.0f)), code + 1);
    EXPECT_EQ(float_to_e4m3(middle), code % 2 == 0 ? code : code + 1) << static_cast<int>(code);
  }
  for (std::uint32_t half = 0; half < 0x7bff; ++half) {
    const float low = f16_to_float(static_cast<std::uint16_t>(half));
    const float high = f16_to_float(static_cast<std::uint16_t>(half + 1));
    const float middle = (low + high) / 2;  // exact: a float has the bit for it
    ASSERT_EQ(float_to_f16(middle), half % 2 == 0 ? half : half + 1) << half;
  }
  EXPECT_EQ(bf16_to_float(float_to_bf16(1.0f + 0x1p-8f)), 1.0f);
  EXPECT_EQ(bf16_to_float(float_to_bf16(1.0f + 3 * 0x1p-8f)), 1.0f + 0x1p-6f);
}

TEST(Encode, E4m3SaturatesAndHalfFloatsGoToInfinity) {
  EXPECT_EQ(float_to_e4m3(1e9f), 0x7e);
  EXPECT_EQ(float_to_e4m3(-1e9f), 0xfe);
  EXPECT_EQ(float_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_f16(-1e9f), 0xfc00);
}

TEST(Encode, F32AndValuesOfBf16ChangeNothing) {
  const auto values = lively_values(4096, 1);
  EXPECT_EQ(there_and_back(Dtype::kF32, values), values);
  const auto rounded = there_and_back(Dtype::kBf16, values);
  EXPECT_EQ(there_and_back(Dtype::kBf16, rounded), rounded);
}

TEST(Encode, Bf16IsWithinItsBound) {
  const auto values = lively_values(100'000, 2);
  const auto back = there_and_back(Dtype::kBf16, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_LE(std::fabs(back[i] - values[i]), std::fabs(values[i]) * 0x1p-8f) << values[i];
  }
}

TEST(Encode, Q8_0IsWithinHalfAStep) {
  auto values = lively_values(320'000, 3);
  // Blocks whose scale is a subnormal half float, down to nothing.
  for (std::size_t i = 0; i < 3200; ++i) values[i] *= 1e-6f;
  for (std::size_t i = 3200; i < 3232; ++i) values[i] = 0;
  const auto bytes = encoded(Dtype::kQ8_0, values);
  const auto back = there_and_back(Dtype::kQ8_0, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t scale = 0;
    std::memcpy(&scale, bytes.data() + i / 32 * 34, sizeof scale);
    const float half_step = 0.5f * f16_to_float(scale);
    ASSERT_LE(std::fabs(back[i] - values[i]), half_step * 1.0001f) << i << " " << values[i];
  }
}

TEST(Encode, Q4_0IsWithinHalfAStepAndAWholeOneOnTheFarSide) {
  auto values = lively_values(320'000, 4);
  for (std::size_t i = 0; i < 3200; ++i) values[i] *= 1e-5f;
  const auto bytes = encoded(Dtype::kQ4_0, values);
  const auto back = there_and_back(Dtype::kQ4_0, values);
  for (std::size_t first = 0; first < values.size(); first += 32) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + first / 32 * 18, sizeof bits);
    const float scale = f16_to_float(bits);
    for (std::size_t i = first; i < first + 32; ++i) {
      // The code of the far side's end would be 8.
      const bool is_beyond = values[i] / scale > 7.5f;
      const float bound = std::fabs(scale) * (is_beyond ? 1.0f : 0.5f);
      ASSERT_LE(std::fabs(back[i] - values[i]), bound * 1.005f) << i << " " << values[i];
    }
  }
}

TEST(Encode, TheLargestMagnitudeOfAQ4_0BlockIsNotClipped) {
  std::vector<float> values(32, 0.0f);
  values[5] = 8;
  values[20] = -1;
  EXPECT_EQ(there_and_back(Dtype::kQ4_0, values), values);
  for (float& value : values) value = -value;
  EXPECT_EQ(there_and_back(Dtype::kQ4_0, values), values);
}

TEST(Encode, WhatHasNoFiniteCodeIsAnError) {
  std::vector<float> values(32, 1.0f);
  std::vector<std::byte> out(64);
  values[3] = FLT_MAX;
  for (const Dtype dtype : {Dtype::kBf16, Dtype::kQ8_0, Dtype::kQ4_0}) {
    const Status status = encode_values(dtype, values, out.data());
    ASSERT_FALSE(status) << dtype_name(dtype);
    EXPECT_EQ(status.error().reason, "value_too_large");
  }
}

TEST(Encode, Fp8IsWithinItsBoundInEveryTile) {
  constexpr std::int64_t kRows = 100;     // a band that is not full
  constexpr std::int64_t kColumns = 300;  // two tiles and a part
  auto values = lively_values(kRows * kColumns, 5);
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t c = 256; c < kColumns; ++c) values[r * kColumns + c] = 0;
  }
  std::vector<std::byte> codes(values.size());
  std::vector<float> scales(3);
  encode_fp8_band(values, kColumns, codes.data(), scales);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scale = scales[i % kColumns / 128];
    const float back = e4m3_to_float(static_cast<std::uint8_t>(codes[i])) * scale;
    const float bound = std::max(std::fabs(values[i]) * 0x1p-4f, scale * 0x1p-10f);
    ASSERT_LE(std::fabs(back - values[i]), bound * 1.0001f) << i << " " << values[i];
    ASSERT_TRUE(std::isfinite(back));
  }
  EXPECT_EQ(scales[2], 1) << "a tile of zeros";
}

TEST(Encode, TinyTilesKeepTheirValues) {
  const std::vector<float> values{1e-40f, -1e-40f, 0};
  std::vector<std::byte> codes(3);
  std::vector<float> scales(1);
  encode_fp8_band(values, 3, codes.data(), scales);
  EXPECT_GT(scales[0], 0);
  for (const std::byte code : codes) EXPECT_FALSE(e4m3_is_nan(static_cast<std::uint8_t>(code)));
}

}  // namespace
}  // namespace tidegate::worker::encode_test
