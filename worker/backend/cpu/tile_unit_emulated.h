#pragma once

// Tiles without any instruction set, with the arithmetic of tile_unit.h. Include vec16_scalar.h first. Internal linkage, as in
// vec16_scalar.h. What AMX answers with a fault (a register without rows, shapes that do not fit each other) stops the process here.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/core/check.h"
#include "worker/backend/cpu/tile_unit.h"

namespace tidegate::worker {
namespace {

/// Subnormal numbers become zeros of their sign.
inline float flush_subnormal(float x) {
  return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x;
}

/// One rounding. The product of two bf16 numbers has 16 significant bits: where it is a normal number it is exact, and a sum
/// with it is the fused one.
inline float fma_of_bf16(float a, float b, float sum) {
  const float product = a * b;
  const float size = std::fabs(product);
  const bool is_exact = (size > 1e-30f && size < 1e38f) || a == 0 || b == 0;
  return flush_subnormal(is_exact ? sum + product : std::fma(a, b, sum));
}

inline float flushed_bf16(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  float out;
  std::memcpy(&out, &wide, sizeof(out));
  return flush_subnormal(out);
}

struct TileState {
  TileShapes shapes{.palette = 0};
  alignas(64) std::uint8_t bytes[kTiles][kTileRows][kTileRowBytes];
};
thread_local TileState tile_state;

struct TileUnit {
  static void configure(const TileShapes& shapes) {
    TG_CHECK(shapes.palette == 1 && shapes.start_row == 0);
    for (int tile = 0; tile < 16; ++tile) {
      const int rows = shapes.rows[tile];
      TG_CHECK(rows <= kTileRows && shapes.row_bytes[tile] <= kTileRowBytes && (rows == 0) == (shapes.row_bytes[tile] == 0));
      TG_CHECK(tile < kTiles || rows == 0);
    }
    tile_state.shapes = shapes;
    std::memset(tile_state.bytes, 0, sizeof(tile_state.bytes));
  }
  static void release() { tile_state.shapes.palette = 0; }
  /// Emulated tiles read memory as any code does.
  static void wrote_memory() {}

  template <int Tile>
  static void zero() {
    TG_CHECK(rows_of(Tile) > 0);
    std::memset(tile_state.bytes[Tile], 0, sizeof(tile_state.bytes[Tile]));
  }
  /// `stride` in bytes, from row to row.
  template <int Tile>
  static void load(const void* from, std::int64_t stride) {
    TG_CHECK(rows_of(Tile) > 0);
    for (int row = 0; row < rows_of(Tile); ++row) {
      std::memcpy(tile_state.bytes[Tile][row], static_cast<const std::uint8_t*>(from) + row * stride,
                  tile_state.shapes.row_bytes[Tile]);
    }
  }
  template <int Tile>
  static void store(void* to, std::int64_t stride) {
    TG_CHECK(rows_of(Tile) > 0);
    for (int row = 0; row < rows_of(Tile); ++row) {
      std::memcpy(static_cast<std::uint8_t*>(to) + row * stride, tile_state.bytes[Tile][row],
                  tile_state.shapes.row_bytes[Tile]);
    }
  }

  template <int Sums, int Inputs, int Weights>
  static void multiply() {
    static_assert(Sums != Inputs && Sums != Weights && Inputs != Weights);  // AMX faults
    const TileShapes& shapes = tile_state.shapes;
    TG_CHECK(rows_of(Sums) > 0 && rows_of(Sums) == rows_of(Inputs) && shapes.row_bytes[Sums] == shapes.row_bytes[Weights] &&
             rows_of(Weights) * 4 == shapes.row_bytes[Inputs]);
    float weights[kTilePairs][2 * kTileColumns];
    widen(tile_state.bytes[Weights], weights);
    float inputs[kTileRows][kTileInputs];
    widen(tile_state.bytes[Inputs], inputs);
    for (int m = 0; m < rows_of(Sums); ++m) {
      float chains[2 * kTileColumns] = {};
      for (int k = 0; k < kTilePairs; ++k) {
        for (int i = 0; i < 2 * kTileColumns; ++i) {
          chains[i] = fma_of_bf16(inputs[m][2 * k + i % 2], weights[k][i], chains[i]);
        }
      }
      float sums[kTileColumns];
      std::memcpy(sums, tile_state.bytes[Sums][m], sizeof(sums));
      for (int n = 0; n < kTileColumns; ++n) {
        const float both = flush_subnormal(chains[2 * n] + chains[2 * n + 1]);
        sums[n] = flush_subnormal(flush_subnormal(sums[n]) + both);
      }
      std::memcpy(tile_state.bytes[Sums][m], sums, sizeof(sums));
    }
  }

  /// Floats that are bf16 numbers, beside each other: 64 bytes.
  static void store_pairs(std::uint16_t* to, Vec16 even, Vec16 odd) {
    for (int i = 0; i < kLanes; ++i) {
      to[2 * i] = upper_half(even.lane[i]);
      to[2 * i + 1] = upper_half(odd.lane[i]);
    }
  }
  /// Sixteen bf16, as vcvtneps2bf16 rounds: to nearest even, subnormal numbers to 0, a NaN stays one.
  static void store_rounded(std::uint16_t* to, Vec16 x) {
    for (int i = 0; i < kLanes; ++i) {
      const float value = flush_subnormal(x.lane[i]);
      std::uint32_t bits;
      std::memcpy(&bits, &value, sizeof(bits));
      if (std::isnan(value)) {
        to[i] = static_cast<std::uint16_t>(bits >> 16 | 0x40u);
      } else {
        to[i] = static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
      }
    }
  }

 private:
  static int rows_of(int tile) { return tile_state.shapes.palette == 0 ? 0 : tile_state.shapes.rows[tile]; }
  static std::uint16_t upper_half(float x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    return static_cast<std::uint16_t>(bits >> 16);
  }
  static void widen(const std::uint8_t (&tile)[kTileRows][kTileRowBytes], float (&out)[kTileRows][kTileInputs]) {
    for (int row = 0; row < kTileRows; ++row) {
      std::uint16_t bits[kTileInputs];
      std::memcpy(bits, tile[row], sizeof(bits));
      for (int i = 0; i < kTileInputs; ++i) out[row][i] = flushed_bf16(bits[i]);
    }
  }
};

}  // namespace
}  // namespace tidegate::worker
