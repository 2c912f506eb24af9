#pragma once

// Rows of inputs rounded to int8, 32 to a scale, as llama.cpp's Q8_0 has them: scale = largest / 127, to nearest even. What stands in
// memory is the whole number + 128: an unsigned byte is what vpdpbusd multiplies by a signed one, and 128 times the sum of the
// weights is taken off again (int8_matmul.h). Internal linkage, as in vec16_scalar.h: compiled for each instruction set, with one
// rounding for each operation in all of them.

#include <cstdint>
#include <cstring>
#include <limits>

#include "worker/backend/cpu/kernels.h"

namespace tidegate::worker {
namespace {

struct Int8Block {
  float scale;
  std::uint8_t values[kQ8Block];
};
static_assert(sizeof(Int8Block) == 36);
static_assert(sizeof(Int8Block) <= kQ8Block * sizeof(std::uint16_t), "narrow_room() has room");

/// A block that holds a NaN or an infinity has the scale NaN, so that the answer has it too and the guard behind the model sees it.
/// Written for compilers to make vectors of: sizes are compared as the bits that they are, which order as the sizes do.
inline Int8Block int8_block(const float* x) {
  constexpr std::uint32_t kInfinity = 0x7f800000u;
  std::uint32_t bits[kQ8Block];
  std::memcpy(bits, x, sizeof(bits));
  std::uint32_t largest_bits = 0;
  for (const std::uint32_t word : bits) {
    const std::uint32_t size = word & 0x7fffffffu;
    largest_bits = size > largest_bits ? size : largest_bits;
  }
  float largest;
  std::memcpy(&largest, &largest_bits, sizeof(largest));

  Int8Block out;
  const bool is_finite = largest_bits < kInfinity;
  // Below, 127 / largest would be infinite; such inputs are zero beside any other.
  if (!is_finite || largest < 1e-35f) {
    std::memset(out.values, 128, sizeof(out.values));
    out.scale = is_finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
    return out;
  }
  out.scale = largest / 127.0f;
  const float factor = 127.0f / largest;
  // Adding 1.5 * 2^23 rounds to the nearest whole number, ties to even, and leaves it in the low bits.
  constexpr float kMagic = 12582912.0f;
  float moved[kQ8Block];
  for (int i = 0; i < kQ8Block; ++i) moved[i] = x[i] * factor + kMagic;
  std::memcpy(bits, moved, sizeof(bits));
  for (int i = 0; i < kQ8Block; ++i) out.values[i] = static_cast<std::uint8_t>(bits[i] + 128u);
  return out;
}

void int8_narrow(const float* x, std::uint16_t* y, std::int64_t n) {
  auto* to = reinterpret_cast<std::uint8_t*>(y);
  std::int64_t i = 0;
  for (; i + kQ8Block <= n; i += kQ8Block) {
    const Int8Block block = int8_block(x + i);
    std::memcpy(to, &block, sizeof(block));
    to += sizeof(block);
  }
  if (i == n) return;
  float last[kQ8Block] = {};
  std::memcpy(last, x + i, static_cast<std::size_t>(n - i) * sizeof(float));
  const Int8Block block = int8_block(last);
  std::memcpy(to, &block, sizeof(block));
}

}  // namespace
}  // namespace tidegate::worker
