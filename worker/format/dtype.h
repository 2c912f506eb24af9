#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

/// Element types of weight files and their exact meaning as float. Every value of the plain types is a float exactly,
/// so decoding never rounds; the quantised ones, which GGUF files have, come in blocks (quant_blocks.h).
namespace tidegate::worker {

enum class Dtype : std::uint8_t {
  kF32, kBf16, kF16, kF8E4m3, kQ8_0, kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ4K, kQ5K, kQ6K
};

/// As safetensors spells it: "F32", "BF16", "F16", "F8_E4M3"; quantised types as GGUF tools do: "Q4_K".
std::string_view dtype_name(Dtype dtype);
/// The plain types.
std::optional<Dtype> parse_dtype(std::string_view name);

/// The smallest unit of a type: one element of a plain one.
struct DtypeBlock {
  std::int64_t elements = 1;
  std::int64_t bytes = 0;
};
DtypeBlock dtype_block(Dtype dtype);
inline bool is_quantised(Dtype dtype) {
  return dtype_block(dtype).elements > 1;
}
/// Bytes of one element of a plain type.
inline std::int64_t dtype_bytes(Dtype dtype) {
  return dtype_block(dtype).bytes;
}

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
