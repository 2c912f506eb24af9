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
/// Inner dimension summed before a scale is applied; equal to the FP8 block.
inline constexpr int kScaleBlock = 128;
inline constexpr int kLanes = 16;
/// Tokens of one attention part. Fixed by absolute position, so that parts never depend on chunking or batch.
inline constexpr int kAttentionPart = 128;

enum class WeightFormat : std::uint8_t { kF32, kBf16, kFp8 };
inline constexpr int kWeightFormats = 3;

/// 32 output columns x k inputs, input-major: element (column c, input i) at [i * 32 + c].
struct PanelView {
  const void* weights = nullptr;  ///< float, bf16 or e4m3 by format
  const float* scales = nullptr;  ///< [ceil(k / 128)][32], or nullptr for 1
  std::int64_t k = 0;
  int columns = kPanelColumns;  ///< columns to store; the rest is padding
};

/// One query row against up to kAttentionPart cached tokens, all heads at once (they share keys and values).
struct AttentionPart {
  const float* query = nullptr;  ///< [width][lanes], lanes = heads rounded up to 16
  const float* const* tokens =
      nullptr;    ///< cached rows: the value is the first `latent` floats, the key the `width` from `key_offset` on
  int count = 0;  ///< 1..kAttentionPart
  int heads = 0;
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

struct KernelTable {
  /// y[r][32 p .. 32 p + columns) = panels[p] * x[r], for 1..kPanelsPerCall neighbouring panels of one matrix
  /// and `rows` rows; by WeightFormat.
  void (*matmul[kWeightFormats])(const PanelView* panels, int count, const float* const* x, float* const* y,
                                 int rows);
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

/// `isa` must be available.
const KernelTable& kernels_for(CpuIsa isa);

}  // namespace tidegate::worker
