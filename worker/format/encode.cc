#include "worker/format/encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "base/core/check.h"

namespace tidegate::worker {
namespace {

constexpr std::uint32_t kSignless = 0x7fffffffu;
constexpr std::uint32_t kInfinity = 0x7f800000u;
constexpr std::int64_t kBlock = 32;

std::unexpected<Error> too_large(Dtype dtype, float value) {
  return fail(Code::kOutOfRange, "value_too_large", fmt::format("{} is beyond what {} can hold", value, dtype_name(dtype)));
}

float largest_magnitude(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

void put_u16(std::byte* out, std::uint16_t bits) { std::memcpy(out, &bits, sizeof bits); }

/// `magnitude / steps` as a half float: the nearest, which is off by 2^-11 of itself at most, or the next above where the
/// nearest is further off (among the subnormal ones): no value may be cut off by more than that.
Result<std::uint16_t> block_scale(Dtype dtype, float magnitude, float steps) {
  constexpr std::uint16_t kHalfInfinity = 0x7c00;
  std::uint16_t bits = float_to_f16(magnitude / steps);
  if (bits < kHalfInfinity && magnitude > steps * (1 + 0x1p-10f) * f16_to_float(bits)) ++bits;
  if (bits >= kHalfInfinity) return too_large(dtype, magnitude);
  return bits;
}

Status encode_q8_0(std::span<const float> block, std::byte* out) {
  constexpr float kSteps = 127;
  TG_ASSIGN(const std::uint16_t bits, block_scale(Dtype::kQ8_0, largest_magnitude(block), kSteps));
  put_u16(out, bits);
  const float scale = f16_to_float(bits);
  for (std::size_t i = 0; i < block.size(); ++i) {
    const float code = scale == 0 ? 0 : std::clamp(std::nearbyint(block[i] / scale), -kSteps, kSteps);
    out[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(code));
  }
  return {};
}

/// The value of the largest magnitude gets code 0, which stands for -8: there is one step more on its side.
Status encode_q4_0(std::span<const float> block, std::byte* out) {
  constexpr float kSteps = 8;
  constexpr std::uint16_t kHalfSign = 0x8000;
  float extreme = 0;
  for (const float value : block) {
    if (std::fabs(value) > std::fabs(extreme)) extreme = value;
  }
  TG_ASSIGN(std::uint16_t bits, block_scale(Dtype::kQ4_0, std::fabs(extreme), kSteps));
  if (extreme > 0) bits |= kHalfSign;
  put_u16(out, bits);
  const float scale = f16_to_float(bits);
  const auto code = [&](std::size_t i) {
    const float steps = scale == 0 ? 0 : std::clamp(std::nearbyint(block[i] / scale), -kSteps, kSteps - 1);
    return static_cast<unsigned>(static_cast<int>(steps) + 8);
  };
  for (std::size_t i = 0; i < block.size() / 2; ++i) {
    out[2 + i] = static_cast<std::byte>(code(i) | code(i + block.size() / 2) << 4);
  }
  return {};
}

}  // namespace

std::uint16_t float_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & kSignless) > kInfinity) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);  // NaN stays NaN
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

std::uint16_t float_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & kSignless;
  constexpr std::uint32_t kRoundsToInfinity = 0x477ff000u;  // 65520
  constexpr std::uint32_t kSmallestNormal = 0x38800000u;    // 2^-14
  if (magnitude > kInfinity) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= kRoundsToInfinity) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (magnitude < kSmallestNormal) {
    // Floats at 0.5 are 2^-24 apart, which is the step of subnormal half floats: the addition rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5f)));
  }
  const std::uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
  return static_cast<std::uint16_t>(sign | (rounded - (112u << 23)) >> 13);
}

std::uint8_t float_to_e4m3(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 24 & 0x80u;
  const std::uint32_t magnitude = bits & kSignless;
  if (magnitude > kInfinity) return static_cast<std::uint8_t>(sign | 0x7fu);
  const float positive = std::bit_cast<float>(magnitude);
  if (positive >= 448) return static_cast<std::uint8_t>(sign | 0x7eu);
  if (positive < 0x1p-6f) {
    // As above: floats at 2^14 are 2^-9 apart.
    const float shifted = positive + 0x1p14f;
    return static_cast<std::uint8_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0x1p14f)));
  }
  const std::uint32_t rounded = magnitude + 0x7ffffu + (magnitude >> 20 & 1u);
  return static_cast<std::uint8_t>(sign | (rounded - (120u << 23)) >> 20);
}

bool can_encode(Dtype dtype) {
  return dtype == Dtype::kF32 || dtype == Dtype::kBf16 || dtype == Dtype::kQ8_0 || dtype == Dtype::kQ4_0;
}

Status encode_values(Dtype dtype, std::span<const float> values, std::byte* out) {
  TG_CHECK(can_encode(dtype));
  if (dtype == Dtype::kF32) {
    std::memcpy(out, values.data(), values.size_bytes());
    return {};
  }
  if (dtype == Dtype::kBf16) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint16_t bits = float_to_bf16(values[i]);
      if ((bits & 0x7f80u) == 0x7f80u) return too_large(dtype, values[i]);
      put_u16(out + 2 * i, bits);
    }
    return {};
  }
  TG_CHECK(values.size() % kBlock == 0);
  const auto bytes = static_cast<std::size_t>(dtype_block(dtype).bytes);
  for (std::size_t at = 0; at < values.size(); at += kBlock) {
    const auto block = values.subspan(at, kBlock);
    TG_TRY(dtype == Dtype::kQ8_0 ? encode_q8_0(block, out) : encode_q4_0(block, out));
    out += bytes;
  }
  return {};
}

void encode_fp8_band(std::span<const float> values, std::int64_t columns, std::byte* out, std::span<float> scales) {
  const auto width = static_cast<std::size_t>(columns);
  const std::size_t rows = values.size() / width;
  TG_CHECK(rows * width == values.size() && rows <= static_cast<std::size_t>(kFp8Tile));
  for (std::size_t tile = 0; tile * kFp8Tile < width; ++tile) {
    const std::size_t first = tile * kFp8Tile;
    const std::size_t count = std::min<std::size_t>(kFp8Tile, width - first);
    float largest = 0;
    for (std::size_t r = 0; r < rows; ++r) largest = std::max(largest, largest_magnitude(values.subspan(r * width + first, count)));
    // A tile of zeros may have any scale; a scale that is a subnormal float would lose precision of its own.
    const float scale = largest == 0 ? 1.0f : std::max(largest / 448.0f, FLT_MIN);
    scales[tile] = scale;
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = first; c < first + count; ++c) {
        out[r * width + c] = static_cast<std::byte>(float_to_e4m3(values[r * width + c] / scale));
      }
    }
  }
}

}  // namespace tidegate::worker
