#pragma once

// Sixteen float lanes without any instruction set: the reference that the other two must equal bit for bit.
// Included by kernels_scalar.cc only; everything has internal linkage, so that code compiled with one
// instruction set never replaces another's at link time.

#include <cmath>
#include <cstdint>
#include <cstring>

#include "worker/format/dtype.h"

namespace tidegate::worker {
namespace {

struct Vec16 {
  float lane[16];
};

constexpr int kMatmulRows = 4;      // rows sharing one pass over a panel
constexpr int kScoreKeys = 4;
constexpr int kScoreVectors = 1;
constexpr int kAttentionHeads = 4;  // heads sharing one pass over the values

template <typename F>
inline Vec16 each(F f) {
  Vec16 out;
  for (int i = 0; i < 16; ++i) out.lane[i] = f(i);
  return out;
}

inline Vec16 zero() {
  return each([](int) { return 0.0f; });
}
inline Vec16 broadcast(float x) {
  return each([x](int) { return x; });
}
inline Vec16 load(const float* p) {
  return each([p](int i) { return p[i]; });
}
inline Vec16 load_n(const float* p, int n) {
  return each([p, n](int i) { return i < n ? p[i] : 0.0f; });
}
inline void store(float* p, Vec16 a) {
  std::memcpy(p, a.lane, sizeof(a.lane));
}
inline void store_n(float* p, Vec16 a, int n) {
  std::memcpy(p, a.lane, sizeof(float) * static_cast<std::size_t>(n));
}

inline Vec16 add(Vec16 a, Vec16 b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline Vec16 sub(Vec16 a, Vec16 b) {
  return each([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline Vec16 mul(Vec16 a, Vec16 b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline Vec16 div(Vec16 a, Vec16 b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}
/// a * b + c with one rounding.
inline Vec16 fma(Vec16 a, Vec16 b, Vec16 c) {
  return each([&](int i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
}
/// The second operand when either is NaN, as the x86 instruction does.
inline Vec16 max(Vec16 a, Vec16 b) {
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
/// 2^n for whole n in [-126, 127].
inline Vec16 pow2(Vec16 n) {
  return each([&](int i) {
    const auto bits = static_cast<std::uint32_t>(static_cast<std::int32_t>(n.lane[i]) + 127) << 23;
    float out;
    std::memcpy(&out, &bits, sizeof(out));
    return out;
  });
}

inline Vec16 load_weights(const float* p) {
  return load(p);
}
inline Vec16 load_weights(const std::uint16_t* p) {
  return each([p](int i) { return bf16_to_float(p[i]); });
}
/// e4m3 values divided by 256: the fast paths read them as half floats, and the packed scale makes up for it.
inline Vec16 load_weights(const std::uint8_t* p) {
  return each([p](int i) { return e4m3_to_float(p[i]) * 0.00390625f; });
}
inline Vec16 load_weights(const std::int8_t* p) {
  return each([p](int i) { return static_cast<float>(p[i]); });
}

}  // namespace
}  // namespace tidegate::worker
