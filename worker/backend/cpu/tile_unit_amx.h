#pragma once

// Tiles as AMX has them: tile_unit_emulated.h has the contract of each function. Include vec16_avx512.h first. The registers are the
// thread's: configure() before the first use in a call, release() behind the last, so that nothing has to be saved when threads are
// switched in between.
//
// GCC 12 writes register numbers into the text of an instruction, so that they must be literals, and does not know that a tile load
// reads memory: wrote_memory() between stores to what is loaded and the loads.

#include <immintrin.h>

#include <cstdint>

#include "worker/backend/cpu/tile_unit.h"

namespace tidegate::worker {
namespace {

struct TileUnit {
  static void configure(const TileShapes& shapes) {
    // The instruction's operand is declared as eight bytes: without this, the others need not be written yet.
    __asm__ volatile("" ::"r"(&shapes) : "memory");
    _tile_loadconfig(&shapes);
  }
  static void release() { _tile_release(); }
  static void wrote_memory() { __asm__ volatile("" ::: "memory"); }

  template <int Tile>
  static void zero() {
    static_assert(Tile >= 0 && Tile < 4);
    if constexpr (Tile == 0) _tile_zero(0);
    if constexpr (Tile == 1) _tile_zero(1);
    if constexpr (Tile == 2) _tile_zero(2);
    if constexpr (Tile == 3) _tile_zero(3);
  }
  template <int Tile>
  static void load(const void* from, std::int64_t stride) {
    static_assert(Tile >= 4 && Tile < kTiles);
    if constexpr (Tile == 4) _tile_loadd(4, from, stride);
    if constexpr (Tile == 5) _tile_loadd(5, from, stride);
    if constexpr (Tile == 6) _tile_loadd(6, from, stride);
    if constexpr (Tile == 7) _tile_loadd(7, from, stride);
  }
  template <int Tile>
  static void store(void* to, std::int64_t stride) {
    static_assert(Tile >= 0 && Tile < 4);
    if constexpr (Tile == 0) _tile_stored(0, to, stride);
    if constexpr (Tile == 1) _tile_stored(1, to, stride);
    if constexpr (Tile == 2) _tile_stored(2, to, stride);
    if constexpr (Tile == 3) _tile_stored(3, to, stride);
  }
  template <int Sums, int Inputs, int Weights>
  static void multiply() {
    static_assert(Sums >= 0 && Sums < 4 && Inputs == kInputTile + Sums / 2 && Weights == kWeightTile + Sums % 2);
    if constexpr (Sums == 0) _tile_dpbf16ps(0, 4, 6);
    if constexpr (Sums == 1) _tile_dpbf16ps(1, 4, 7);
    if constexpr (Sums == 2) _tile_dpbf16ps(2, 5, 6);
    if constexpr (Sums == 3) _tile_dpbf16ps(3, 5, 7);
  }

  static void store_pairs(std::uint16_t* to, Vec16 even, Vec16 odd) {
    const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(even.v), 16);
    const __m512i high = _mm512_and_si512(_mm512_castps_si512(odd.v), _mm512_set1_epi32(static_cast<int>(0xffff0000u)));
    _mm512_storeu_si512(to, _mm512_or_si512(low, high));
  }
  static void store_rounded(std::uint16_t* to, Vec16 x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(x.v));
  }
};

}  // namespace
}  // namespace tidegate::worker
