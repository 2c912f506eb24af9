#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

/// Element types of weight files and their exact meaning as float. Every value of every type here is a float
/// exactly, so decoding never rounds.
namespace tidegate::worker {

enum class Dtype : std::uint8_t { kF32, kBf16, kF16, kF8E4m3 };

/// As safetensors spells it: "F32", "BF16", "F16", "F8_E4M3".
std::string_view dtype_name(Dtype dtype);
std::optional<Dtype> parse_dtype(std::string_view name);
/// Bytes of one element.
std::int64_t dtype_bytes(Dtype dtype);

inline float bf16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

float f16_to_float(std::uint16_t bits);

/// OCP e4m3fn: exponent bias 7, no infinity, NaN only at 0x7f and 0xff, largest 448.
float e4m3_to_float(std::uint8_t bits);
inline bool e4m3_is_nan(std::uint8_t bits) {
  return (bits & 0x7f) == 0x7f;
}

}  // namespace tidegate::worker
