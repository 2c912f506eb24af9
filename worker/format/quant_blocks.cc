#include "worker/format/quant_blocks.h"

#include <bit>
#include <cstring>

#include "base/core/check.h"

namespace tidegate::worker {
namespace {

using Bytes = const std::uint8_t*;

float f16_at(Bytes at) {
  return f16_to_float(static_cast<std::uint16_t>(at[0] | at[1] << 8));
}

int low(std::uint8_t byte) { return byte & 15; }
int high(std::uint8_t byte) { return byte >> 4; }
int signed_byte(std::uint8_t byte) { return std::bit_cast<std::int8_t>(byte); }

/// Blocks of 32 keep elements 0-15 in the low nibbles of 16 bytes and 16-31 in the high ones.
constexpr int kHalf = 16;

void q8_0(Bytes in, float* out) {
  const float d = f16_at(in);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(signed_byte(in[2 + i]));
}

void q4_0(Bytes in, float* out) {
  const float d = f16_at(in);
  for (int i = 0; i < kHalf; ++i) {
    out[i] = d * static_cast<float>(low(in[2 + i]) - 8);
    out[i + kHalf] = d * static_cast<float>(high(in[2 + i]) - 8);
  }
}

void q4_1(Bytes in, float* out) {
  const float d = f16_at(in);
  const float m = f16_at(in + 2);
  for (int i = 0; i < kHalf; ++i) {
    out[i] = d * static_cast<float>(low(in[4 + i])) + m;
    out[i + kHalf] = d * static_cast<float>(high(in[4 + i])) + m;
  }
}

/// The fifth bit of element i is bit i of a little-endian word.
int fifth_bit(Bytes word, int i) { return (word[i / 8] >> (i % 8) & 1) << 4; }

void q5_0(Bytes in, float* out) {
  const float d = f16_at(in);
  for (int i = 0; i < kHalf; ++i) {
    out[i] = d * static_cast<float>((low(in[6 + i]) | fifth_bit(in + 2, i)) - 16);
    out[i + kHalf] = d * static_cast<float>((high(in[6 + i]) | fifth_bit(in + 2, i + kHalf)) - 16);
  }
}

void q5_1(Bytes in, float* out) {
  const float d = f16_at(in);
  const float m = f16_at(in + 2);
  for (int i = 0; i < kHalf; ++i) {
    out[i] = d * static_cast<float>(low(in[8 + i]) | fifth_bit(in + 4, i)) + m;
    out[i + kHalf] = d * static_cast<float>(high(in[8 + i]) | fifth_bit(in + 4, i + kHalf)) + m;
  }
}

struct ScaleAndMin {
  int scale;
  int minimum;
};

/// Eight scales and eight minima of six bits in twelve bytes.
ScaleAndMin six_bits(Bytes in, int j) {
  if (j < 4) return {in[j] & 63, in[j + 4] & 63};
  return {(in[j + 4] & 15) | (in[j - 4] >> 6) << 4, in[j + 4] >> 4 | (in[j] >> 6) << 4};
}

/// Four groups of 64: 32 bytes hold 32 values in their low nibbles and the next 32 in their high ones.
/// `fifth`: 32 bytes with bit 2g of byte i for the low and 2g + 1 for the high value of group g, or nullptr.
void q45_k(Bytes in, Bytes fifth, Bytes nibbles, float* out) {
  const float d = f16_at(in);
  const float d_min = f16_at(in + 2);
  for (int part = 0; part < 8; ++part) {
    const auto [scale, minimum] = six_bits(in + 4, part);
    const float step = d * static_cast<float>(scale);
    const float offset = d_min * static_cast<float>(minimum);
    for (int i = 0; i < 32; ++i) {
      const std::uint8_t byte = nibbles[part / 2 * 32 + i];
      int q = part % 2 == 0 ? low(byte) : high(byte);
      if (fifth != nullptr) q |= (fifth[i] >> part & 1) << 4;
      out[part * 32 + i] = step * static_cast<float>(q) - offset;
    }
  }
}

void q4_k(Bytes in, float* out) { q45_k(in, nullptr, in + 16, out); }
void q5_k(Bytes in, float* out) { q45_k(in, in + 16, in + 48, out); }

/// Two halves of 128: 64 bytes of low nibbles, 32 bytes of upper bit pairs, a signed scale for every 16 values.
void q6_k(Bytes in, float* out) {
  const float d = f16_at(in + 208);
  for (int half = 0; half < 2; ++half) {
    Bytes nibbles = in + half * 64;
    Bytes pairs = in + 128 + half * 32;
    Bytes scales = in + 192 + half * 8;
    for (int part = 0; part < 4; ++part) {
      for (int i = 0; i < 32; ++i) {
        const std::uint8_t byte = nibbles[part % 2 * 32 + i];
        const int q = (part < 2 ? low(byte) : high(byte)) | (pairs[i] >> (2 * part) & 3) << 4;
        const float step = d * static_cast<float>(signed_byte(scales[part * 2 + i / 16]));
        out[half * 128 + part * 32 + i] = step * static_cast<float>(q - 32);
      }
    }
  }
}

using Decode = void (*)(Bytes in, float* out);

Decode decoder_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kQ8_0:
      return q8_0;
    case Dtype::kQ4_0:
      return q4_0;
    case Dtype::kQ4_1:
      return q4_1;
    case Dtype::kQ5_0:
      return q5_0;
    case Dtype::kQ5_1:
      return q5_1;
    case Dtype::kQ4K:
      return q4_k;
    case Dtype::kQ5K:
      return q5_k;
    case Dtype::kQ6K:
      return q6_k;
    case Dtype::kF32:
    case Dtype::kBf16:
    case Dtype::kF16:
    case Dtype::kF8E4m3:
      return nullptr;
  }
  return nullptr;
}

}  // namespace

void dequantise_blocks(Dtype dtype, std::span<const std::byte> blocks, float* out) {
  const Decode decode = decoder_of(dtype);
  TG_CHECK(decode != nullptr);
  const auto shape = dtype_block(dtype);
  const auto bytes = static_cast<std::size_t>(shape.bytes);
  const auto* in = reinterpret_cast<Bytes>(blocks.data());
  for (std::size_t at = 0; at + bytes <= blocks.size(); at += bytes) {
    decode(in + at, out);
    out += shape.elements;
  }
}

}  // namespace tidegate::worker
