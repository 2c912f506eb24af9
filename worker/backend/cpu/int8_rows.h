#pragma once

// Rows of inputs rounded to int8, 32 to a scale, as llama.cpp's Q8_0 has them: scale = largest / 127, to nearest even. What stands in
// memory is the whole number + 128: an unsigned byte is what vpdpbusd multiplies by a signed one, and 128 times the sum of the
// weights is taken off again (int8_matmul.h). Internal linkage, as in vec16_scalar.h: compiled for each instruction set, with one
// rounding for each operation in all of them.

#include <cmath>
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
inline Int8Block int8_block(const float* x, int count) {
  Int8Block out;
  float largest = 0;
  bool is_finite = true;
  for (int i = 0; i < count; ++i) {
    const float size = std::fabs(x[i]);
    is_finite = is_finite && size <= std::numeric_limits<float>::max();
    if (size > largest) largest = size;
  }
  std::memset(out.values, 128, sizeof(out.values));
  out.scale = is_finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  // Below, 127 / largest would be infinite; such inputs are zero beside any other.
  if (!is_finite || largest < 1e-35f) return out;
  out.scale = largest / 127.0f;
  const float factor = 127.0f / largest;
  constexpr float kMagic = 12582912.0f;  // adding and taking away 1.5 * 2^23 rounds to the nearest whole number, ties to even
  for (int i = 0; i < count; ++i) {
    const float rounded = (x[i] * factor + kMagic) - kMagic;
    out.values[i] = static_cast<std::uint8_t>(static_cast<int>(rounded) + 128);
  }
  return out;
}

void int8_narrow(const float* x, std::uint16_t* y, std::int64_t n) {
  auto* to = reinterpret_cast<std::uint8_t*>(y);
  for (std::int64_t i = 0; i < n; i += kQ8Block) {
    const Int8Block block = int8_block(x + i, static_cast<int>(n - i < kQ8Block ? n - i : kQ8Block));
    std::memcpy(to, &block, sizeof(block));
    to += sizeof(block);
  }
}

}  // namespace
}  // namespace tidegate::worker
