#pragma once

#include <cstdint>

#include "worker/backend/cpu/isa.h"

/// The arithmetic of the CPU backend: one set of formulas (kernels_impl.h) over sixteen lanes, compiled for
/// three instruction sets. Every output element is computed by a chain of operations whose order is fixed by
/// its own row alone: never by the number of rows, threads or lanes. So results are equal bit for bit between
/// a sequence alone and in a batch, and between instruction sets.
namespace tidegate::worker {

/// Columns of a panel: the unit in which weights are stored and work is shared out.
inline constexpr int kPanelColumns = 32;
/// Panels handed to a kernel together: with few rows, their sums keep the multipliers busy.
inline constexpr int kPanelsPerCall = 2;
/// Inner dimension summed before a scale is applied: the FP8 block, and that of Q8_0. Formats without scales are summed by the
/// former too, which loses less than one long chain.
inline constexpr int kScaleBlock = 128;
inline constexpr int kQ8Block = 32;
inline constexpr int kLanes = 16;
/// The first multiple of kLanes at or above `n`.
constexpr int whole_lanes(int n) {
  return (n + kLanes - 1) / kLanes * kLanes;
}
/// Tokens of one attention part. Fixed by absolute position, so that parts never depend on chunking or batch.
inline constexpr int kAttentionPart = 128;

/// The last two are kBf16 and kQ8_0 with neighbouring inputs of a column beside each other (WeightLayout).
enum class WeightFormat : std::uint8_t { kF32, kBf16, kFp8, kQ8_0, kBf16Pairs, kQ8Quads };
inline constexpr int kWeightFormats = 6;
constexpr int scale_block(WeightFormat format) {
  return format == WeightFormat::kQ8_0 || format == WeightFormat::kQ8Quads ? kQ8Block : kScaleBlock;
}

/// How a set of kernels wants its panels. kRows: one input after the other, whatever the format. kPairs: bf16 as kBf16Pairs;
/// kQuads: Q8_0 as kQ8Quads; other formats as with kRows.
enum class WeightLayout : std::uint8_t { kRows, kPairs, kQuads };
/// Inputs of kBf16Pairs are zero up to a multiple of this: what one product of tiles takes.
inline constexpr int kPairedInputs = 32;
constexpr std::int64_t paired_inputs(std::int64_t inputs) {
  return (inputs + kPairedInputs - 1) / kPairedInputs * kPairedInputs;
}

/// 32 output columns x k inputs, input-major: element (column c, input i) at [i * 32 + c]; of kBf16Pairs at
/// [(i / 2 * 32 + c) * 2 + i % 2], of kQ8Quads at [(i / 4 * 32 + c) * 4 + i % 4].
struct PanelView {
  const void* weights = nullptr;  ///< float, bf16, e4m3 or int8 by format; lines of 64 bytes begin where panels do
  const float* scales = nullptr;  ///< [ceil(k / scale_block)][32], or nullptr for 1
  std::int64_t k = 0;
  int columns = kPanelColumns;  ///< columns to store; the rest is padding
};

/// Query heads against up to kAttentionPart cached tokens that they share. `heads` may be those of one row, or of neighbouring
/// rows of a sequence, row by row: lanes that one row's few heads would waste, and cached rows that are read once for several.
/// Every lane is a sum of its own, so company changes no bit.
struct AttentionPart {
  const float* query = nullptr;  ///< [width][lanes], lanes = heads rounded up to 16
  const float* const* tokens =
      nullptr;    ///< cached rows: the value is the first `latent` floats, the key the `width` from `key_offset` on
  int count = 0;  ///< 1..kAttentionPart; of the last row, which sees most
  int heads = 0;
  int row_heads = 0;            ///< heads of one row; 0: all of them are of one
  const int* counts = nullptr;  ///< [heads / row_heads], rising to `count`, each at least 1; nullptr: all see all
  int lanes = 0;
  int width = 0;
  int latent = 0;
  int key_offset = 0;  ///< 0: the value is part of the key (MLA)
  float scale = 0;
  float* scores = nullptr;  ///< scratch [kAttentionPart][lanes]
};

/// Softmax numerators and denominators of a part: value[h] = sum p * latent, relative to the maximum.
struct AttentionSums {
  float* maximum = nullptr;  ///< [lanes]
  float* total = nullptr;    ///< [lanes]
  float* value = nullptr;    ///< [heads][value_stride]
  int value_stride = 0;      ///< latent rounded up to 16
};

/// Rows of a call at most. A set may want fewer (KernelTable::rows_per_call).
inline constexpr int kCallRowsMax = 256;
/// Room of a rounded row, in units of its buffer: the most that a `narrow` writes.
constexpr std::int64_t narrow_room(std::int64_t inputs) {
  return (inputs / kPairedInputs + 1) * kPairedInputs;
}

struct KernelTable {
  /// y[r][32 p .. 32 p + columns) = panels[p] * x[r], for 1..kPanelsPerCall neighbouring panels of one matrix
  /// and `rows` rows; by WeightFormat. nullptr: for kBf16Pairs and kQ8Quads, which have rounded products only.
  void (*matmul[kWeightFormats])(const PanelView* panels, int count, const float* const* x, float* const* y,
                                 int rows);
  /// The same with inputs rounded by `narrow`, several at a time; nullptr: this set does not round them. F32 weights have
  /// none in any set. The rows of a call lie at one distance from each other.
  void (*matmul_narrow[kWeightFormats])(const PanelView* panels, int count, const std::uint16_t* const* x, float* const* y,
                                        int rows);
  /// y = x as this set's products take it, at most narrow_room(n) long: rounded to bf16, to nearest even, and zeros up to a
  /// whole number of pairs (or of kPairedInputs where tiles multiply); or blocks of 32 int8 behind their scale (int8_rows.h).
  void (*narrow)(const float* x, std::uint16_t* y, std::int64_t n);
  WeightLayout layout = WeightLayout::kRows;
  /// Rows of a matmul call for which a gate panel's results wait for the up panel's, at most kCallRowsMax. 72: 18 KiB of scratch,
  /// whole tiles of 12 rows, and both panels stay in L1/L2.
  int rows_per_call = 72;
  /// y = x * rsqrt(mean(x^2) + eps) * weight; weight nullptr = 1. y may be x.
  void (*rms_norm)(const float* x, const float* weight, float* y, int n, float eps);
  /// gate = silu(gate) * up
  void (*silu_mul)(float* gate, const float* up, int n);
  /// y += factor * x
  void (*add_scaled)(float* y, const float* x, float factor, int n);
  void (*attend)(const AttentionPart& part, const AttentionSums& out);
  /// into += part, both brought to the common maximum.
  void (*merge)(const AttentionSums& into, const AttentionSums& part, int heads, int lanes);
  /// value[h] /= total[h]
  void (*normalise)(const AttentionSums& sums, int heads);
};

extern const KernelTable kScalarKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
/// kAvx512Kernels but for products, whose inputs it rounds to bf16. Not the same bits as the others.
extern const KernelTable kAvx512Bf16Kernels;
/// The same with products of AMX tiles, and what these are documented to compute, without any instruction set (tile_unit.h).
extern const KernelTable kAmxBf16Kernels;
extern const KernelTable kAmxReferenceKernels;
/// The exact ones but for products with Q8_0 weights, whose inputs they round to int8, 32 to a scale. Equal bits.
extern const KernelTable kVnniInt8Kernels;
extern const KernelTable kInt8ReferenceKernels;

/// `isa` must be available.
const KernelTable& kernels_for(CpuIsa isa);

}  // namespace tidegate::worker
