#pragma once

#include <cstdint>

/// Eight registers of sixteen rows of 64 bytes, and the product of two of them added to a third: what AMX has. The kernels of
/// tile_matmul.h are written over a unit that is one of
///   TileUnit of tile_unit_amx.h        the instructions
///   TileUnit of tile_unit_emulated.h   what Intel documents of them, which any CPU computes
/// so that everything but the instructions themselves is tested everywhere, and these where they are, against the same numbers.
///
/// The arithmetic (Intel's manual, TDPBF16PS), for row m of the inputs and column n of the weights, pairs k = 0..15 in order:
///   even = fma(inputs[m][2 k],     weights[k][2 n],     even)      from 0
///   odd  = fma(inputs[m][2 k + 1], weights[k][2 n + 1], odd)       from 0
///   sums[m][n] = sums[m][n] + (even + odd)
/// each rounded to nearest even, with subnormal inputs read as 0 and subnormal results written as 0; MXCSR has no say. An element
/// depends on its own row and column only. vdpbf16ps is another arithmetic: it adds both products of a pair to one running sum. So a
/// process multiplies with one of them, whatever the number of rows.
namespace tidegate::worker {

inline constexpr int kTileRows = 16;
inline constexpr int kTileRowBytes = 64;
inline constexpr int kTileColumns = kTileRowBytes / 4;  ///< floats of a row of sums
inline constexpr int kTileInputs = kTileRowBytes / 2;   ///< bf16 of a row of inputs
inline constexpr int kTilePairs = kTileInputs / 2;      ///< rows of weights: pairs of inputs
inline constexpr int kTiles = 8;

/// Which register holds what: sums[2 r + c] of row half r and column half c, inputs of row half r, weights of column half c.
inline constexpr int kSumTile = 0;
inline constexpr int kInputTile = 4;
inline constexpr int kWeightTile = 6;

/// The operand of LDTILECFG, palette 1. Registers with 0 rows may not be used.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

/// Shapes for `upper` rows (1..16) of inputs in the upper half and `lower` (0..16) in the lower one.
constexpr TileShapes tile_shapes(int upper, int lower) {
  TileShapes out;
  const auto set = [&out](int tile, int rows) {
    out.rows[tile] = static_cast<std::uint8_t>(rows);
    out.row_bytes[tile] = rows > 0 ? kTileRowBytes : 0;
  };
  for (int column = 0; column < 2; ++column) {
    set(kSumTile + column, upper);
    set(kSumTile + 2 + column, lower);
    set(kWeightTile + column, kTilePairs);
  }
  set(kInputTile, upper);
  set(kInputTile + 1, lower);
  return out;
}

}  // namespace tidegate::worker
