#pragma once

// Sixteen float lanes as one AVX-512 register. Included by kernels_avx512.cc only (see vec16_scalar.h).

#include <immintrin.h>

#include <cstdint>

namespace tidegate::worker {
namespace {

struct Vec16 {
  __m512 v;
};

constexpr int kMatmulRows = 12;  // 24 accumulators + 2 weights + 1 input of 32 registers
constexpr int kAttentionHeads = 8;
constexpr int kScoreKeys = 8;  // with two vectors of heads: 16 accumulators
constexpr int kScoreVectors = 2;

inline __mmask16 first_lanes(int n) {
  return static_cast<__mmask16>((1u << n) - 1u);
}

inline Vec16 zero() {
  return {_mm512_setzero_ps()};
}
inline Vec16 broadcast(float x) {
  return {_mm512_set1_ps(x)};
}
inline Vec16 load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
inline Vec16 load_n(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
inline void store(float* p, Vec16 a) {
  _mm512_storeu_ps(p, a.v);
}
inline void store_n(float* p, Vec16 a, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), a.v);
}

inline Vec16 add(Vec16 a, Vec16 b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Vec16 sub(Vec16 a, Vec16 b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Vec16 mul(Vec16 a, Vec16 b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Vec16 div(Vec16 a, Vec16 b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline Vec16 fma(Vec16 a, Vec16 b, Vec16 c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline Vec16 max(Vec16 a, Vec16 b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline Vec16 pow2(Vec16 n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23))};
}

inline Vec16 load_weights(const float* p) {
  return load(p);
}
inline Vec16 load_weights(const std::uint16_t* p) {
  const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16))};
}
/// s eeee mmm becomes s 0eeee mmm0000000: the half float of the e4m3 value / 256, subnormals included.
inline Vec16 load_weights(const std::uint8_t* p) {
  const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  const __m256i moved = _mm256_srai_epi16(_mm256_slli_epi16(wide, 8), 1);
  return {_mm512_cvtph_ps(_mm256_and_si256(moved, _mm256_set1_epi16(static_cast<short>(0xbf80))))};
}
inline Vec16 load_weights(const std::int8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}

}  // namespace
}  // namespace tidegate::worker
