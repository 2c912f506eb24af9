#pragma once

// Sixteen float lanes as two AVX2 registers. Included by kernels_avx2.cc only (see vec16_scalar.h).

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace tidegate::worker {
namespace {

struct Vec16 {
  __m256 lo;
  __m256 hi;
};

constexpr int kMatmulRows = 2;  // 8 accumulators + 4 weights of 16 registers
constexpr int kAttentionHeads = 2;
constexpr int kScoreKeys = 4;
constexpr int kScoreVectors = 1;

inline Vec16 zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
inline Vec16 broadcast(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
inline Vec16 load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline Vec16 load_n(const float* p, int n) {
  float lanes[16] = {};
  std::memcpy(lanes, p, sizeof(float) * static_cast<std::size_t>(n));
  return load(lanes);
}
inline void store(float* p, Vec16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
inline void store_n(float* p, Vec16 a, int n) {
  float lanes[16];
  store(lanes, a);
  std::memcpy(p, lanes, sizeof(float) * static_cast<std::size_t>(n));
}

inline Vec16 add(Vec16 a, Vec16 b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline Vec16 sub(Vec16 a, Vec16 b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline Vec16 mul(Vec16 a, Vec16 b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline Vec16 div(Vec16 a, Vec16 b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline Vec16 fma(Vec16 a, Vec16 b, Vec16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline Vec16 max(Vec16 a, Vec16 b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
inline __m256 pow2_half(__m256 n) {
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
inline Vec16 pow2(Vec16 n) {
  return {pow2_half(n.lo), pow2_half(n.hi)};
}

inline Vec16 load_weights(const float* p) {
  return load(p);
}
inline __m256 bf16_half(const std::uint16_t* p) {
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16));
}
inline Vec16 load_weights(const std::uint16_t* p) {
  return {bf16_half(p), bf16_half(p + 8)};
}
/// As in vec16_avx512.h: e4m3 / 256 read as half floats.
inline Vec16 load_weights(const std::uint8_t* p) {
  const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m256i moved = _mm256_srai_epi16(_mm256_slli_epi16(wide, 8), 1);
  const __m256i half = _mm256_and_si256(moved, _mm256_set1_epi16(static_cast<short>(0xbf80)));
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(half)), _mm256_cvtph_ps(_mm256_extracti128_si256(half, 1))};
}
inline Vec16 load_weights(const std::int8_t* p) {
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(raw)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(raw, 8)))};
}

}  // namespace
}  // namespace tidegate::worker
