// Each type is packed here element by element from the format's description and must come back exactly.
#include "worker/format/quant_blocks.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/core/random.h"
#include "worker/format/safetensors.h"

namespace tidegate::worker {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint16_t kThreeQuarters = 0x3a00;  // 0.75 as half float
constexpr std::uint16_t kMinusHalf = 0xb800;      // -0.5

void put_half(Bytes& block, std::size_t at, std::uint16_t half) {
  block[at] = static_cast<std::uint8_t>(half & 0xff);
  block[at + 1] = static_cast<std::uint8_t>(half >> 8);
}

void put_bits(Bytes& block, std::size_t at, int shift, int bits) {
  block[at] = static_cast<std::uint8_t>(block[at] | bits << shift);
}

std::vector<float> decode(Dtype dtype, const Bytes& block) {
  const TensorView view{dtype, {static_cast<std::int64_t>(dtype_block(dtype).elements)}, std::as_bytes(std::span(block))};
  return to_floats(view);
}

std::vector<int> random_codes(std::size_t count, int values, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<int> out(count);
  for (int& code : out) code = static_cast<int>(rng.below(static_cast<std::uint64_t>(values)));
  return out;
}

TEST(QuantBlocks, Q8_0IsAScaleAndSignedBytes) {
  Bytes block(34);
  put_half(block, 0, kThreeQuarters);
  for (std::size_t i = 0; i < 32; ++i) block[2 + i] = static_cast<std::uint8_t>(i * 8);  // wraps to negative at 128
  const auto values = decode(Dtype::kQ8_0, block);
  EXPECT_EQ(values[1], 6);
  EXPECT_EQ(values[15], 90);
  EXPECT_EQ(values[16], -96);
  EXPECT_EQ(values[31], -6);
}

struct Small {
  Dtype dtype;
  int bits;         ///< 4 or 5
  bool has_minimum;
  std::size_t fifth;    ///< offset of the word of fifth bits
  std::size_t nibbles;  ///< offset
};

class SmallBlocks : public testing::TestWithParam<Small> {};

TEST_P(SmallBlocks, HoldTheFirstHalfInLowNibbles) {
  const Small& type = GetParam();
  Bytes block(static_cast<std::size_t>(dtype_block(type.dtype).bytes));
  put_half(block, 0, kThreeQuarters);
  if (type.has_minimum) put_half(block, 2, kMinusHalf);
  const auto codes = random_codes(32, 1 << type.bits, 7);
  for (std::size_t i = 0; i < 32; ++i) {
    put_bits(block, type.nibbles + i % 16, i < 16 ? 0 : 4, codes[i] & 15);
    if (type.bits == 5) put_bits(block, type.fifth + i / 8, static_cast<int>(i % 8), codes[i] >> 4);
  }
  const auto values = decode(type.dtype, block);
  for (std::size_t i = 0; i < 32; ++i) {
    const double expected = type.has_minimum ? 0.75 * codes[i] - 0.5 : 0.75 * (codes[i] - (1 << (type.bits - 1)));
    EXPECT_EQ(values[i], expected) << dtype_name(type.dtype) << " " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(, SmallBlocks,
                         testing::Values(Small{Dtype::kQ4_0, 4, false, 0, 2}, Small{Dtype::kQ4_1, 4, true, 0, 4},
                                         Small{Dtype::kQ5_0, 5, false, 2, 6}, Small{Dtype::kQ5_1, 5, true, 4, 8}),
                         [](const auto& param_info) { return std::string(dtype_name(param_info.param.dtype)); });

/// Six-bit scales and minima, as ggml packs them: the first four whole, the upper bits of the last four above them.
void put_scales(Bytes& block, const std::vector<int>& scales, const std::vector<int>& minima) {
  for (std::size_t j = 0; j < 8; ++j) {
    if (j < 4) {
      put_bits(block, 4 + j, 0, scales[j]);
      put_bits(block, 8 + j, 0, minima[j]);
    } else {
      put_bits(block, 8 + j, 0, scales[j] & 15);
      put_bits(block, 8 + j, 4, minima[j] & 15);
      put_bits(block, j, 6, scales[j] >> 4);
      put_bits(block, 4 + j, 6, minima[j] >> 4);
    }
  }
}

class KBlocks : public testing::TestWithParam<int> {};

TEST_P(KBlocks, HaveAScaleAndAMinimumForEvery32) {
  const int bits = GetParam();
  const Dtype dtype = bits == 4 ? Dtype::kQ4K : Dtype::kQ5K;
  Bytes block(static_cast<std::size_t>(dtype_block(dtype).bytes));
  put_half(block, 0, kThreeQuarters);
  put_half(block, 2, kMinusHalf);
  const auto scales = random_codes(8, 64, 1);
  const auto minima = random_codes(8, 64, 2);
  put_scales(block, scales, minima);
  const auto codes = random_codes(256, 1 << bits, 3);
  const std::size_t nibbles = bits == 4 ? 16 : 48;
  for (std::size_t i = 0; i < 256; ++i) {
    put_bits(block, nibbles + i / 64 * 32 + i % 32, i / 32 % 2 == 0 ? 0 : 4, codes[i] & 15);
    if (bits == 5) put_bits(block, 16 + i % 32, static_cast<int>(i / 32), codes[i] >> 4);
  }
  const auto values = decode(dtype, block);
  for (std::size_t i = 0; i < 256; ++i) {
    EXPECT_EQ(values[i], 0.75 * scales[i / 32] * codes[i] + 0.5 * minima[i / 32]) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(, KBlocks, testing::Values(4, 5),
                         [](const auto& param_info) { return fmt::format("Q{}_K", param_info.param); });

TEST(QuantBlocks, Q6KHasASignedScaleForEvery16) {
  Bytes block(210);
  put_half(block, 208, kThreeQuarters);
  const auto scales = random_codes(16, 256, 4);
  for (std::size_t j = 0; j < 16; ++j) block[192 + j] = static_cast<std::uint8_t>(scales[j]);
  const auto codes = random_codes(256, 64, 5);
  for (std::size_t i = 0; i < 256; ++i) {
    const std::size_t half = i / 128;
    const std::size_t within = i % 128;
    put_bits(block, half * 64 + within % 64, within < 64 ? 0 : 4, codes[i] & 15);
    put_bits(block, 128 + half * 32 + within % 32, static_cast<int>(within / 32) * 2, codes[i] >> 4);
  }
  const auto values = decode(Dtype::kQ6K, block);
  for (std::size_t i = 0; i < 256; ++i) {
    const int scale = static_cast<std::int8_t>(scales[i / 16]);
    EXPECT_EQ(values[i], 0.75 * scale * (codes[i] - 32)) << i;
  }
}

TEST(QuantBlocks, SeveralBlocksFollowOneAnother) {
  Bytes blocks(2 * 34);
  put_half(blocks, 0, kThreeQuarters);
  put_half(blocks, 34, kMinusHalf);
  blocks[2] = blocks[36] = 4;
  const TensorView view{Dtype::kQ8_0, {64}, std::as_bytes(std::span(blocks))};
  const auto values = to_floats(view);
  ASSERT_EQ(values.size(), 64u);
  EXPECT_EQ(values[0], 3);
  EXPECT_EQ(values[32], -2);
}

}  // namespace
}  // namespace tidegate::worker
