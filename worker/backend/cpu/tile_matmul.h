#pragma once

// Products of bf16 inputs and weights by tiles (tile_unit.h): 1,024 multiply-adds an instruction. Include a vec16_*.h,
// kernels_impl.h and a tile_unit_*.h first.
//
// Shapes: a tile of inputs is 16 rows by 32 inputs, read where the rounded rows lie; a tile of weights 32 inputs (16 pairs) by 16
// columns, half a panel. bf16 panels are packed in pairs: a weight tile is read where it lies, and sums stay in their registers over
// all inputs, 2 x 2 of them for 32 rows, so that a product waits neither for the one before nor for more than one load. FP8 and Q8_0
// keep one byte in memory: 128 inputs of a panel become pairs in 8 KiB that stay in L1, for all rows of the call, and sums are
// taken out of the tile at each scale (128 or 32 inputs), where 16 rows of totals wait in registers.
//
// Rows: fewer than 16 are tiles of fewer rows, one row included (a product takes as long as it has rows, weights are read once). So
// an element goes through the same operations in the same order whatever its company: tiles over the inputs in order, from zero.
// What the last tile has beyond the inputs is zero on both sides.
//
// What bounds it, on paper: bf16 reads 4 tiles for 4 products of 16 cycles each. Q8_0 stores and adds 16 lines for each product of
// 16 cycles, the reason why a scale for 32 inputs reaches about half of what bf16 does. Not measured: no CPU with AMX was at hand.

#include <cstdint>

#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/tile_unit.h"

namespace tidegate::worker {
namespace {

static_assert(kTileInputs == kPairedInputs && kTileColumns == kLanes && kPanelColumns == 2 * kTileColumns);

/// Bytes from one pair of a panel to the next, in kBf16Pairs and in the pairs made here.
constexpr std::int64_t kPairBytes = kPanelColumns * 2 * 2;
constexpr std::int64_t kPairUnits = kPanelColumns * 2;  ///< the same in std::uint16_t
constexpr int kTileSums = kTileRows * kTileColumns;

/// Rows of inputs at one distance from each other.
struct TileInputs {
  const std::uint16_t* first = nullptr;
  std::int64_t stride = 0;  ///< units

  [[nodiscard]] const std::uint16_t* at(int row, std::int64_t input) const { return first + row * stride + input; }
  [[nodiscard]] std::int64_t stride_bytes() const { return stride * 2; }
};

inline TileInputs tile_inputs(const std::uint16_t* const* x, int rows) {
  return {.first = x[0], .stride = rows > 1 ? x[1] - x[0] : kTileInputs};
}

inline void copy_sums(const float* sums, float* to, int columns) {
  if (columns >= kLanes) {
    store(to, load(sums));
  } else if (columns > 0) {
    store_n(to, load(sums), columns);
  }
}

/// Up to 32 rows of a bf16 panel. HasLower: more than 16 of them.
template <bool HasLower>
void tile_pairs_block(const PanelView& panel, const TileInputs& x, int row, float* const* y, int offset, int rows) {
  const auto* weights = static_cast<const std::uint16_t*>(panel.weights);
  TileUnit::zero<0>();
  TileUnit::zero<1>();
  if constexpr (HasLower) {
    TileUnit::zero<2>();
    TileUnit::zero<3>();
  }
  for (std::int64_t i = 0; i < panel.k; i += kTileInputs) {
    TileUnit::load<kWeightTile>(weights, kPairBytes);
    TileUnit::load<kWeightTile + 1>(weights + kPanelColumns, kPairBytes);
    TileUnit::load<kInputTile>(x.at(row, i), x.stride_bytes());
    TileUnit::multiply<0, kInputTile, kWeightTile>();
    TileUnit::multiply<1, kInputTile, kWeightTile + 1>();
    if constexpr (HasLower) {
      TileUnit::load<kInputTile + 1>(x.at(row + kTileRows, i), x.stride_bytes());
      TileUnit::multiply<2, kInputTile + 1, kWeightTile>();
      TileUnit::multiply<3, kInputTile + 1, kWeightTile + 1>();
    }
    weights += kTilePairs * kPairUnits;
  }
  alignas(64) float sums[4][kTileSums];
  TileUnit::store<0>(sums[0], kTileRowBytes);
  TileUnit::store<1>(sums[1], kTileRowBytes);
  if constexpr (HasLower) {
    TileUnit::store<2>(sums[2], kTileRowBytes);
    TileUnit::store<3>(sums[3], kTileRowBytes);
  }
  for (int r = 0; r < rows; ++r) {
    const float* half = sums[r / kTileRows * 2] + r % kTileRows * kTileColumns;
    copy_sums(half, y[row + r] + offset, panel.columns);
    copy_sums(half + kTileSums, y[row + r] + offset + kLanes, panel.columns - kLanes);
  }
}

void tile_matmul_pairs(const PanelView* panels, int count, const std::uint16_t* const* x, float* const* y, int rows) {
  constexpr int kBlockRows = 2 * kTileRows;
  const TileInputs inputs = tile_inputs(x, rows);
  int configured = 0;
  for (int row = 0; row < rows; row += kBlockRows) {
    const int some = rows - row < kBlockRows ? rows - row : kBlockRows;
    if (some != configured) {
      TileUnit::configure(some > kTileRows ? tile_shapes(kTileRows, some - kTileRows) : tile_shapes(some, 0));
      configured = some;
    }
    for (int p = 0; p < count; ++p) {
      if (some > kTileRows) {
        tile_pairs_block<true>(panels[p], inputs, row, y, p * kPanelColumns, some);
      } else {
        tile_pairs_block<false>(panels[p], inputs, row, y, p * kPanelColumns, some);
      }
    }
  }
  TileUnit::release();
}

/// Inputs that are made into pairs together: whole scales of both formats.
constexpr std::int64_t kPairsChunk = kScaleBlock;
static_assert(kPairsChunk % kTileInputs == 0 && kPairsChunk % kQ8Block == 0);

/// Inputs [first, end) of a panel as bf16 pairs, zero up to a whole tile.
template <typename Weight>
void make_pairs(const PanelView& panel, std::int64_t first, std::int64_t end, std::uint16_t* out) {
  const Weight* weights = static_cast<const Weight*>(panel.weights) + first * kPanelColumns;
  for (std::int64_t i = first; i < first + paired_inputs(end - first); i += 2) {
    TG_UNROLL
    for (int half = 0; half < 2; ++half) {
      const Vec16 even = i < end ? load_weights(weights + half * kLanes) : zero();
      const Vec16 odd = i + 1 < end ? load_weights(weights + kPanelColumns + half * kLanes) : zero();
      TileUnit::store_pairs(out + half * kPanelColumns, even, odd);
    }
    weights += 2 * kPanelColumns;
    out += kPairUnits;
  }
}

/// Sums over one scale's inputs of 16 columns, into `sums`.
template <int Column, int Tiles>
void tile_scaled_sums(const std::uint16_t* pairs, const std::uint16_t* x, std::int64_t stride_bytes, int tiles, float* sums) {
  TileUnit::zero<Column>();
  for (int t = 0; t < (Tiles == 1 ? 1 : tiles); ++t) {
    TileUnit::load<kWeightTile + Column>(pairs + t * kTilePairs * kPairUnits + Column * kPanelColumns, kPairBytes);
    TileUnit::load<kInputTile>(x + t * kTileInputs, stride_bytes);
    TileUnit::multiply<Column, kInputTile, kWeightTile + Column>();
  }
  TileUnit::store<Column>(sums, kTileRowBytes);
}

/// totals[r][16 columns] += sums of each scale times the scale, for the inputs that `pairs` holds. Column: which half of the panel.
template <int Column, int Tiles, bool IsWhole>
void tile_scaled_half(const std::uint16_t* pairs, const std::uint16_t* x, std::int64_t stride_bytes, std::int64_t inputs,
                      const float* scales, int rows, float* totals) {
  alignas(64) float sums[kTileSums];
  Vec16 total[kTileRows];
  if constexpr (IsWhole) {
    TG_UNROLL
    for (int r = 0; r < kTileRows; ++r) total[r] = load(totals + r * kPanelColumns);
  }
  for (std::int64_t i = 0; i < inputs; i += Tiles * kTileInputs) {
    const std::int64_t left = (inputs - i + kTileInputs - 1) / kTileInputs;
    tile_scaled_sums<Column, Tiles>(pairs + i / 2 * kPairUnits, x + i, stride_bytes, static_cast<int>(left < Tiles ? left : Tiles),
                                    sums);
    const Vec16 scale = load(scales + i / (Tiles * kTileInputs) * kPanelColumns);
    if constexpr (IsWhole) {
      TG_UNROLL
      for (int r = 0; r < kTileRows; ++r) total[r] = fma(load(sums + r * kTileColumns), scale, total[r]);
    } else {
      for (int r = 0; r < rows; ++r) {
        store(totals + r * kPanelColumns, fma(load(sums + r * kTileColumns), scale, load(totals + r * kPanelColumns)));
      }
    }
  }
  if constexpr (IsWhole) {
    TG_UNROLL
    for (int r = 0; r < kTileRows; ++r) store(totals + r * kPanelColumns, total[r]);
  }
}

template <int Tiles, bool IsWhole>
void tile_scaled_rows(const std::uint16_t* pairs, const std::uint16_t* x, std::int64_t stride_bytes, std::int64_t inputs,
                      const float* scales, int rows, float* totals) {
  tile_scaled_half<0, Tiles, IsWhole>(pairs, x, stride_bytes, inputs, scales, rows, totals);
  tile_scaled_half<1, Tiles, IsWhole>(pairs, x, stride_bytes, inputs, scales + kLanes, rows, totals + kLanes);
}

/// FP8 and Q8_0: weights of one byte that are bf16 numbers exactly, and a scale for each Tiles tiles.
template <typename Weight, int Tiles>
void tile_matmul_scaled(const PanelView* panels, int count, const std::uint16_t* const* x, float* const* y, int rows) {
  constexpr std::int64_t kBlock = Tiles * kTileInputs;
  static_assert(kPairsChunk % kBlock == 0);
  alignas(64) std::uint16_t pairs[kPairsChunk / 2 * kPairUnits];
  alignas(64) float totals[kCallRowsMax * kPanelColumns];
  const TileInputs inputs = tile_inputs(x, rows);
  const int whole = rows / kTileRows * kTileRows;
  for (int p = 0; p < count; ++p) {
    const PanelView& panel = panels[p];
    for (int i = 0; i < rows * kPanelColumns; ++i) totals[i] = 0;
    for (std::int64_t first = 0; first < panel.k; first += kPairsChunk) {
      const std::int64_t end = first + kPairsChunk < panel.k ? first + kPairsChunk : panel.k;
      make_pairs<Weight>(panel, first, end, pairs);
      TileUnit::wrote_memory();
      const float* scales = panel.scales + first / kBlock * kPanelColumns;
      if (whole > 0) TileUnit::configure(tile_shapes(kTileRows, 0));
      for (int row = 0; row < whole; row += kTileRows) {
        tile_scaled_rows<Tiles, true>(pairs, inputs.at(row, first), inputs.stride_bytes(), end - first, scales, kTileRows,
                                      totals + row * kPanelColumns);
      }
      if (whole < rows) {
        TileUnit::configure(tile_shapes(rows - whole, 0));
        tile_scaled_rows<Tiles, false>(pairs, inputs.at(whole, first), inputs.stride_bytes(), end - first, scales, rows - whole,
                                       totals + whole * kPanelColumns);
      }
    }
    for (int r = 0; r < rows; ++r) {
      float* to = y[r] + p * kPanelColumns;
      copy_sums(totals + r * kPanelColumns, to, panel.columns);
      copy_sums(totals + r * kPanelColumns + kLanes, to + kLanes, panel.columns - kLanes);
    }
  }
  TileUnit::release();
}

void tile_narrow(const float* x, std::uint16_t* y, std::int64_t n) {
  for (std::int64_t i = 0; i < paired_inputs(n); i += kLanes) {
    const std::int64_t left = n - i;
    TileUnit::store_rounded(y + i, left >= kLanes ? load(x + i) : left > 0 ? load_n(x + i, static_cast<int>(left)) : zero());
  }
}

constexpr KernelTable tile_table() {
  KernelTable table = kernel_table();
  table.matmul_narrow[static_cast<int>(WeightFormat::kBf16Pairs)] = tile_matmul_pairs;
  table.matmul_narrow[static_cast<int>(WeightFormat::kFp8)] = tile_matmul_scaled<std::uint8_t, kScaleBlock / kTileInputs>;
  table.matmul_narrow[static_cast<int>(WeightFormat::kQ8_0)] = tile_matmul_scaled<std::int8_t, kQ8Block / kTileInputs>;
  table.narrow = tile_narrow;
  table.layout = WeightLayout::kPairs;
  table.rows_per_call = kCallRowsMax;
  return table;
}

}  // namespace
}  // namespace tidegate::worker
