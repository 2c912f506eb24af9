// Products with inputs rounded to bf16: vdpbf16ps multiplies two of them by two weights and adds both to a float32 sum, twice the
// work of a float32 multiply-add where it runs at full width (Zen 4; on Sapphire Rapids it is half the speed of float32, and AMX
// is meant). Weights of bf16, e4m3 and int8 are bf16 numbers exactly, so nothing but the input is rounded, by at most one part in
// 256; sums and scales stay float32.
//
// Shapes as in kernels_impl.h. Weights stay in the layout of the other sets: rows i and i + 1 of a panel are put beside each other
// in registers, 2 loads and 2 operations for 32 multiply-adds (bf16), shared by up to kRows rows: 24 sums, 2 weights and 1 input of
// 32 registers. One chain per output, inputs in order, a scale block at a time: a row's bits never depend on its company.
#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/vec16_avx512.h"
// The other formulas.
#include "worker/backend/cpu/kernels_impl.h"

namespace tidegate::worker {
namespace {

constexpr int kRows = 12;

/// Floats that are bf16 numbers: `even` into the lower halves, `odd` into the upper ones.
inline __m512i interleave(Vec16 even, Vec16 odd) {
  const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(even.v), 16);
  const __m512i high = _mm512_and_si512(_mm512_castps_si512(odd.v), _mm512_set1_epi32(static_cast<int>(0xffff0000u)));
  return _mm512_or_si512(low, high);
}

template <typename Weight>
inline __m512i load_pair(const Weight* even, const Weight* odd) {
  return interleave(load_weights(even), load_weights(odd));
}
inline __m512i load_pair(const std::uint16_t* even, const std::uint16_t* odd) {
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(even)));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd)));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

inline __m512i broadcast_pair(const std::uint16_t* x) {
  std::int32_t both;
  __builtin_memcpy(&both, x, sizeof(both));
  return _mm512_set1_epi32(both);
}

inline Vec16 dot_pair(Vec16 sum, __m512i weights, __m512i inputs) {
  return {_mm512_dpbf16_ps(sum.v, (__m512bh)weights, (__m512bh)inputs)};
}

template <int Panels, int Rows, typename Weight>
void narrow_tile(const PanelView* panels, const std::uint16_t* const* x, float* const* y, int offset) {
  constexpr std::int64_t kBlock = std::is_same_v<Weight, std::int8_t> ? kQ8Block : kScaleBlock;
  static_assert(kBlock % 2 == 0);
  Vec16 total[Panels][Rows][2];
  TG_UNROLL
  for (int p = 0; p < Panels; ++p) {
    TG_UNROLL
    for (int r = 0; r < Rows; ++r) total[p][r][0] = total[p][r][1] = zero();
  }
  const std::int64_t k = panels[0].k;
  for (std::int64_t block = 0; block < k; block += kBlock) {
    const std::int64_t end = block + kBlock < k ? block + kBlock : k;
    Vec16 sum[Panels][Rows][2];
    TG_UNROLL
    for (int p = 0; p < Panels; ++p) {
      TG_UNROLL
      for (int r = 0; r < Rows; ++r) sum[p][r][0] = sum[p][r][1] = zero();
    }
    for (std::int64_t i = block; i < end; i += 2) {
      TG_UNROLL
      for (int p = 0; p < Panels; ++p) {
        const Weight* even = static_cast<const Weight*>(panels[p].weights) + i * kPanelColumns;
        // Behind an odd last input stands a 0 (KernelTable::narrow): any weight does, and the panel may end here.
        const Weight* odd = i + 1 < end ? even + kPanelColumns : even;
        const __m512i left = load_pair(even, odd);
        const __m512i right = load_pair(even + kLanes, odd + kLanes);
        TG_UNROLL
        for (int r = 0; r < Rows; ++r) {
          const __m512i input = broadcast_pair(x[r] + i);
          sum[p][r][0] = dot_pair(sum[p][r][0], left, input);
          sum[p][r][1] = dot_pair(sum[p][r][1], right, input);
        }
      }
    }
    TG_UNROLL
    for (int p = 0; p < Panels; ++p) {
      const float* scales = panels[p].scales != nullptr ? panels[p].scales + block / kBlock * kPanelColumns : nullptr;
      const Vec16 scale_left = scales != nullptr ? load(scales) : broadcast(1.0f);
      const Vec16 scale_right = scales != nullptr ? load(scales + kLanes) : broadcast(1.0f);
      TG_UNROLL
      for (int r = 0; r < Rows; ++r) {
        total[p][r][0] = fma(sum[p][r][0], scale_left, total[p][r][0]);
        total[p][r][1] = fma(sum[p][r][1], scale_right, total[p][r][1]);
      }
    }
  }
  TG_UNROLL
  for (int p = 0; p < Panels; ++p) store_rows<Rows>(total[p], panels[p].columns, y, offset + p * kPanelColumns);
}

template <int Rows, typename Weight>
void narrow_rows(const PanelView* panels, int count, const std::uint16_t* const* x, float* const* y) {
  if constexpr (Rows * kPanelsPerCall <= kRows) {
    if (count == kPanelsPerCall) return narrow_tile<kPanelsPerCall, Rows, Weight>(panels, x, y, 0);
  }
  for (int p = 0; p < count; ++p) narrow_tile<1, Rows, Weight>(panels + p, x, y, p * kPanelColumns);
}

template <typename Weight>
void matmul_narrow(const PanelView* panels, int count, const std::uint16_t* const* x, float* const* y, int rows) {
  int done = 0;
  for (; rows - done >= kRows; done += kRows) narrow_rows<kRows, Weight>(panels, count, x + done, y + done);
  for (; rows - done >= 6; done += 6) narrow_rows<6, Weight>(panels, count, x + done, y + done);
  for (; rows - done >= 4; done += 4) narrow_rows<4, Weight>(panels, count, x + done, y + done);
  for (; rows - done >= 2; done += 2) narrow_rows<2, Weight>(panels, count, x + done, y + done);
  for (; done < rows; ++done) narrow_rows<1, Weight>(panels, count, x + done, y + done);
}

void narrow(const float* x, std::uint16_t* y, std::int64_t n) {
  std::int64_t i = 0;
  for (; n - i >= kLanes; i += kLanes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i), (__m256i)_mm512_cvtneps_pbh(load(x + i).v));
  }
  if (i < n) {
    std::uint16_t last[kLanes];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(last),
                        (__m256i)_mm512_cvtneps_pbh(load_n(x + i, static_cast<int>(n - i)).v));
    __builtin_memcpy(y + i, last, static_cast<std::size_t>(n - i) * sizeof(*y));
  }
  if (n % 2 != 0) y[n] = 0;
}

constexpr KernelTable narrow_table() {
  KernelTable table = kernel_table();
  table.matmul_narrow[static_cast<int>(WeightFormat::kBf16)] = matmul_narrow<std::uint16_t>;
  table.matmul_narrow[static_cast<int>(WeightFormat::kFp8)] = matmul_narrow<std::uint8_t>;
  table.matmul_narrow[static_cast<int>(WeightFormat::kQ8_0)] = matmul_narrow<std::int8_t>;
  table.narrow = narrow;
  return table;
}

}  // namespace

const KernelTable kAvx512Bf16Kernels = narrow_table();

}  // namespace tidegate::worker
