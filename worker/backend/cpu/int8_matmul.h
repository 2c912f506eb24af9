#pragma once

// Products of Q8_0 weights and inputs rounded to int8 (int8_rows.h). Include a vec16_*.h, kernels_impl.h and what defines Int16 (not a
// short: sixteen 32-bit whole numbers) with its operations first.
//
// Shapes: a panel is packed in quads, four inputs of a column beside each other, so that 64 bytes are sixteen columns and
// vpdpbusd multiplies and adds them as they come. A block of 32 inputs is summed in whole numbers, exactly, in any order; its
// sum is widened and multiplied by both scales: total = fma(float(sum), weight scale * input scale, total), block after block. The
// correction by 128 times the sum of the weights is one more product a load, shared by the rows. So a row's bits never depend on its
// company, and all instruction sets agree.
//
// Bytes: 32 columns x 32 inputs are 1 KiB and 128 bytes of scales. One row does 32 products of 64 bytes for them (16 of the
// correction), far below what memory takes to bring them; kInt8Rows rows fill the registers: 2 x 6 sums, 2 x 6 totals, 2 corrections,
// 2 weights.

#include <cstdint>
#include <cstring>

#include "worker/backend/cpu/int8_rows.h"
#include "worker/backend/cpu/kernels.h"

namespace tidegate::worker {
namespace {

constexpr int kInt8Rows = 6;
constexpr int kQuad = 4;
constexpr std::int64_t kQuadBytes = std::int64_t{kPanelColumns} * kQuad;
constexpr std::int64_t kHalfQuadBytes = kQuadBytes / 2;

template <int Panels, int Rows>
void int8_tile(const PanelView* panels, const std::uint16_t* const* x, float* const* y, int offset) {
  Vec16 total[Panels][Rows][2];
  TG_UNROLL
  for (int p = 0; p < Panels; ++p) {
    TG_UNROLL
    for (int r = 0; r < Rows; ++r) total[p][r][0] = total[p][r][1] = zero();
  }
  const std::int64_t blocks = panels[0].k / kQ8Block;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::uint8_t* inputs[Rows];
    Vec16 input_scale[Rows];
    TG_UNROLL
    for (int r = 0; r < Rows; ++r) {
      const std::uint8_t* at = reinterpret_cast<const std::uint8_t*>(x[r]) + block * static_cast<std::int64_t>(sizeof(Int8Block));
      float scale;
      std::memcpy(&scale, at, sizeof(scale));
      input_scale[r] = broadcast(scale);
      inputs[r] = at + sizeof(scale);
    }
    TG_UNROLL
    for (int p = 0; p < Panels; ++p) {
      const std::int8_t* weights = static_cast<const std::int8_t*>(panels[p].weights) + block * kQ8Block * kPanelColumns;
      Int16 sum[Rows][2];
      Int16 offsets[2] = {int_zero(), int_zero()};
      TG_UNROLL
      for (int r = 0; r < Rows; ++r) sum[r][0] = sum[r][1] = int_zero();
      TG_UNROLL
      for (int quad = 0; quad < kQ8Block / kQuad; ++quad) {
        const Weights64 left = load_quads(weights);
        const Weights64 right = load_quads(weights + kHalfQuadBytes);
        weights += kQuadBytes;
        offsets[0] = dot_128(offsets[0], left);
        offsets[1] = dot_128(offsets[1], right);
        TG_UNROLL
        for (int r = 0; r < Rows; ++r) {
          sum[r][0] = dot_quads(sum[r][0], inputs[r] + quad * kQuad, left);
          sum[r][1] = dot_quads(sum[r][1], inputs[r] + quad * kQuad, right);
        }
      }
      const float* scales = panels[p].scales + block * kPanelColumns;
      TG_UNROLL
      for (int half = 0; half < 2; ++half) {
        const Vec16 weight_scale = load(scales + half * kLanes);
        TG_UNROLL
        for (int r = 0; r < Rows; ++r) {
          const Vec16 whole = to_floats16(sum[r][half], offsets[half]);
          total[p][r][half] = fma(whole, mul(weight_scale, input_scale[r]), total[p][r][half]);
        }
      }
    }
  }
  TG_UNROLL
  for (int p = 0; p < Panels; ++p) store_rows<Rows>(total[p], panels[p].columns, y, offset + p * kPanelColumns);
}

template <int Rows>
void int8_rows(const PanelView* panels, int count, const std::uint16_t* const* x, float* const* y) {
  if constexpr (Rows * kPanelsPerCall <= kInt8Rows) {
    if (count == kPanelsPerCall) return int8_tile<kPanelsPerCall, Rows>(panels, x, y, 0);
  }
  for (int p = 0; p < count; ++p) int8_tile<1, Rows>(panels + p, x, y, p * kPanelColumns);
}

void int8_matmul(const PanelView* panels, int count, const std::uint16_t* const* x, float* const* y, int rows) {
  int done = 0;
  for (; rows - done >= kInt8Rows; done += kInt8Rows) int8_rows<kInt8Rows>(panels, count, x + done, y + done);
  for (; rows - done >= 3; done += 3) int8_rows<3>(panels, count, x + done, y + done);
  for (; done < rows; ++done) int8_rows<1>(panels, count, x + done, y + done);
}

constexpr KernelTable int8_table() {
  KernelTable table = kernel_table();
  table.matmul_narrow[static_cast<int>(WeightFormat::kQ8Quads)] = int8_matmul;
  table.narrow = int8_narrow;
  table.layout = WeightLayout::kQuads;
  return table;
}

}  // namespace
}  // namespace tidegate::worker
