#pragma once

// The kernels, written once over Vec16. Include a vec16_*.h first. Compiled with -ffp-contract=off: every
// fused multiply-add is spelled out, so that all instruction sets round alike.
//
// Shapes: a panel is 32 columns (two Vec16) by k inputs. At one row the loop is bound by turning weights into
// floats (about 5 operations per 16 FP8 weights) and by the latency of its few sums, so two panels go
// together; rows share the conversion, up to kMatmulRows at a time. Sums run over the inputs in order, a scale
// block at a time, one chain per output: no horizontal adds, nothing to reorder.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "worker/backend/cpu/kernels.h"

// Accumulators live in registers only when the loops over them are gone; -O2 would keep them in memory
// (measured: 2 to 3 times slower).
#define TG_UNROLL _Pragma("GCC unroll 16")

namespace tidegate::worker {
namespace {

template <int Rows>
void store_rows(const Vec16 (&total)[Rows][2], int columns, float* const* y, int offset) {
  TG_UNROLL
  for (int r = 0; r < Rows; ++r) {
    if (columns == kPanelColumns) {
      store(y[r] + offset, total[r][0]);
      store(y[r] + offset + kLanes, total[r][1]);
    } else {
      const int left = columns < kLanes ? columns : kLanes;
      store_n(y[r] + offset, total[r][0], left);
      if (columns > kLanes) store_n(y[r] + offset + kLanes, total[r][1], columns - kLanes);
    }
  }
}

template <int Panels, int Rows, typename Weight>
void matmul_tile(const PanelView* panels, const float* const* x, float* const* y, int offset) {
  const Weight* weights[Panels];
  const float* scales[Panels];
  Vec16 total[Panels][Rows][2];
  TG_UNROLL
  for (int p = 0; p < Panels; ++p) {
    weights[p] = static_cast<const Weight*>(panels[p].weights);
    scales[p] = panels[p].scales;
    TG_UNROLL
    for (int r = 0; r < Rows; ++r) total[p][r][0] = total[p][r][1] = zero();
  }
  const std::int64_t k = panels[0].k;
  constexpr std::int64_t kBlock = std::is_same_v<Weight, std::int8_t> ? kQ8Block : kScaleBlock;
  for (std::int64_t block = 0; block < k; block += kBlock) {
    const std::int64_t end = block + kBlock < k ? block + kBlock : k;
    Vec16 sum[Panels][Rows][2];
    TG_UNROLL
    for (int p = 0; p < Panels; ++p) {
      TG_UNROLL
      for (int r = 0; r < Rows; ++r) sum[p][r][0] = sum[p][r][1] = zero();
    }
    for (std::int64_t i = block; i < end; ++i) {
      TG_UNROLL
      for (int p = 0; p < Panels; ++p) {
        const Vec16 left = load_weights(weights[p]);
        const Vec16 right = load_weights(weights[p] + kLanes);
        weights[p] += kPanelColumns;
        TG_UNROLL
        for (int r = 0; r < Rows; ++r) {
          const Vec16 input = broadcast(x[r][i]);
          sum[p][r][0] = fma(left, input, sum[p][r][0]);
          sum[p][r][1] = fma(right, input, sum[p][r][1]);
        }
      }
    }
    TG_UNROLL
    for (int p = 0; p < Panels; ++p) {
      const Vec16 scale_left = scales[p] != nullptr ? load(scales[p]) : broadcast(1.0f);
      const Vec16 scale_right = scales[p] != nullptr ? load(scales[p] + kLanes) : broadcast(1.0f);
      if (scales[p] != nullptr) scales[p] += kPanelColumns;
      TG_UNROLL
      for (int r = 0; r < Rows; ++r) {
        total[p][r][0] = fma(sum[p][r][0], scale_left, total[p][r][0]);
        total[p][r][1] = fma(sum[p][r][1], scale_right, total[p][r][1]);
      }
    }
  }
  TG_UNROLL
  for (int p = 0; p < Panels; ++p)
    store_rows<Rows>(total[p], panels[p].columns, y, offset + p * kPanelColumns);
}

/// Few rows: all panels in one tile. Many: panel by panel, since rows alone fill the registers.
template <int Rows, typename Weight>
void matmul_rows(const PanelView* panels, int count, const float* const* x, float* const* y) {
  if constexpr (Rows * kPanelsPerCall <= kMatmulRows) {
    if (count == kPanelsPerCall) return matmul_tile<kPanelsPerCall, Rows, Weight>(panels, x, y, 0);
  }
  for (int p = 0; p < count; ++p) matmul_tile<1, Rows, Weight>(panels + p, x, y, p * kPanelColumns);
}

template <typename Weight>
void matmul(const PanelView* panels, int count, const float* const* x, float* const* y, int rows) {
  int done = 0;
  for (; rows - done >= kMatmulRows; done += kMatmulRows) {
    matmul_rows<kMatmulRows, Weight>(panels, count, x + done, y + done);
  }
  if constexpr (kMatmulRows > 6) {
    for (; rows - done >= 6; done += 6) matmul_rows<6, Weight>(panels, count, x + done, y + done);
  }
  if constexpr (kMatmulRows > 4) {
    for (; rows - done >= 4; done += 4) matmul_rows<4, Weight>(panels, count, x + done, y + done);
  }
  if constexpr (kMatmulRows > 2) {
    for (; rows - done >= 2; done += 2) matmul_rows<2, Weight>(panels, count, x + done, y + done);
  }
  for (; done < rows; ++done) matmul_rows<1, Weight>(panels, count, x + done, y + done);
}

/// A fixed tree over the lanes, the same for every instruction set.
inline float sum_lanes(Vec16 a) {
  float lane[16];
  store(lane, a);
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
  }
  return lane[0];
}

void rms_norm(const float* x, const float* weight, float* y, int n, float eps) {
  Vec16 squares = zero();
  for (int i = 0; i < n; i += kLanes) {
    const Vec16 a = n - i >= kLanes ? load(x + i) : load_n(x + i, n - i);
    squares = fma(a, a, squares);
  }
  const float factor = 1.0f / __builtin_sqrtf(sum_lanes(squares) / static_cast<float>(n) + eps);
  const Vec16 factors = broadcast(factor);
  for (int i = 0; i < n; i += kLanes) {
    const int count = n - i < kLanes ? n - i : kLanes;
    Vec16 a = mul(count == kLanes ? load(x + i) : load_n(x + i, count), factors);
    if (weight != nullptr) a = mul(a, count == kLanes ? load(weight + i) : load_n(weight + i, count));
    if (count == kLanes) {
      store(y + i, a);
    } else {
      store_n(y + i, a, count);
    }
  }
}

/// e^x within 2 ulp for x in [-87, 88]; below and above it is held at those ends, and NaN stays NaN (max
/// returns its second operand then). x = n ln2 + r, |r| <= ln2 / 2, and a Taylor polynomial of degree 7 in r,
/// whose first dropped term is 5e-9 of the result.
inline Vec16 exp(Vec16 x) {
  x = max(broadcast(-87.0f), x);
  x = sub(zero(), max(broadcast(-88.0f), sub(zero(), x)));
  // Adding and taking away 1.5 * 2^23 rounds to the nearest whole number.
  const Vec16 magic = broadcast(12582912.0f);
  const Vec16 n = sub(add(mul(x, broadcast(1.44269504089f)), magic), magic);
  Vec16 r = fma(n, broadcast(-0.693359375f), x);
  r = fma(n, broadcast(2.12194440e-4f), r);
  Vec16 p = broadcast(1.0f / 5040);
  p = fma(p, r, broadcast(1.0f / 720));
  p = fma(p, r, broadcast(1.0f / 120));
  p = fma(p, r, broadcast(1.0f / 24));
  p = fma(p, r, broadcast(1.0f / 6));
  p = fma(p, r, broadcast(0.5f));
  p = fma(p, r, broadcast(1.0f));
  p = fma(p, r, broadcast(1.0f));
  return mul(p, pow2(n));
}

void silu_mul(float* gate, const float* up, int n) {
  for (int i = 0; i < n; i += kLanes) {
    const int count = n - i < kLanes ? n - i : kLanes;
    const Vec16 g = load_n(gate + i, count);
    const Vec16 u = load_n(up + i, count);
    const Vec16 denominator = add(broadcast(1.0f), exp(sub(zero(), g)));
    store_n(gate + i, mul(div(g, denominator), u), count);
  }
}

void add_scaled(float* y, const float* x, float factor, int n) {
  const Vec16 f = broadcast(factor);
  for (int i = 0; i < n; i += kLanes) {
    const int count = n - i < kLanes ? n - i : kLanes;
    if (count == kLanes) {
      store(y + i, fma(load(x + i), f, load(y + i)));
    } else {
      store_n(y + i, fma(load_n(x + i, count), f, load_n(y + i, count)), count);
    }
  }
}

/// scores[j][h] = scale * query[h] . key[j]: lanes are heads, so that one cached row is read once for all of
/// them.
template <int Keys, int Vectors>
void score_keys(const AttentionPart& part, int first, int lane) {
  Vec16 sum[Keys][Vectors];
  const float* keys[Keys];
  TG_UNROLL
  for (int j = 0; j < Keys; ++j) {
    keys[j] = part.tokens[first + j] + part.key_offset;
    TG_UNROLL
    for (int v = 0; v < Vectors; ++v) sum[j][v] = zero();
  }
  const float* query = part.query + lane;
  for (int i = 0; i < part.width; ++i) {
    Vec16 q[Vectors];
    TG_UNROLL
    for (int v = 0; v < Vectors; ++v) q[v] = load(query + v * kLanes);
    query += part.lanes;
    TG_UNROLL
    for (int j = 0; j < Keys; ++j) {
      const Vec16 key = broadcast(keys[j][i]);
      TG_UNROLL
      for (int v = 0; v < Vectors; ++v) sum[j][v] = fma(q[v], key, sum[j][v]);
    }
  }
  const Vec16 scale = broadcast(part.scale);
  TG_UNROLL
  for (int j = 0; j < Keys; ++j) {
    TG_UNROLL
    for (int v = 0; v < Vectors; ++v)
      store(part.scores + (first + j) * part.lanes + lane + v * kLanes, mul(sum[j][v], scale));
  }
}

template <int Vectors>
void score_lanes(const AttentionPart& part, int lane) {
  int j = 0;
  for (; part.count - j >= kScoreKeys; j += kScoreKeys) score_keys<kScoreKeys, Vectors>(part, j, lane);
  for (; j < part.count; ++j) score_keys<1, Vectors>(part, j, lane);
}

/// Writes `value` where a row does not see a token: the last few tokens of the part, for all but its last row.
inline void write_unseen(const AttentionPart& part, float value) {
  if (part.counts == nullptr) return;
  for (int row = 0; row * part.row_heads < part.heads; ++row) {
    for (int j = part.counts[row]; j < part.count; ++j) {
      float* scores = part.scores + j * part.lanes + row * part.row_heads;
      for (int h = 0; h < part.row_heads; ++h) scores[h] = value;
    }
  }
}

/// value[h..h+Heads)[c..c+32) = sum over tokens of p * latent; lanes are latent features.
template <int Heads, int Vectors>
void weigh_values(const AttentionPart& part, const AttentionSums& out, int count, int head, int column) {
  Vec16 sum[Heads][Vectors];
  TG_UNROLL
  for (int h = 0; h < Heads; ++h) {
    TG_UNROLL
    for (int v = 0; v < Vectors; ++v) sum[h][v] = zero();
  }
  const float* p = part.scores + head;
  for (int j = 0; j < count; ++j) {
    Vec16 latent[Vectors];
    TG_UNROLL
    for (int v = 0; v < Vectors; ++v) latent[v] = load(part.tokens[j] + column + v * kLanes);
    TG_UNROLL
    for (int h = 0; h < Heads; ++h) {
      const Vec16 weight = broadcast(p[h]);
      TG_UNROLL
      for (int v = 0; v < Vectors; ++v) sum[h][v] = fma(latent[v], weight, sum[h][v]);
    }
    p += part.lanes;
  }
  TG_UNROLL
  for (int h = 0; h < Heads; ++h) {
    TG_UNROLL
    for (int v = 0; v < Vectors; ++v) {
      store(out.value + static_cast<std::ptrdiff_t>(head + h) * out.value_stride + column + v * kLanes,
            sum[h][v]);
    }
  }
}

template <int Heads>
void weigh_heads(const AttentionPart& part, const AttentionSums& out, int count, int head) {
  int column = 0;
  // The last vector may reach past `latent`, into the roped key or the next row: those lanes land in the
  // padding of `value` and are never read. The cache ends with room for one such read.
  for (; out.value_stride - column >= 2 * kLanes; column += 2 * kLanes)
    weigh_values<Heads, 2>(part, out, count, head, column);
  for (; column < out.value_stride; column += kLanes) weigh_values<Heads, 1>(part, out, count, head, column);
}

void attend(const AttentionPart& part, const AttentionSums& out) {
  int lane = 0;
  if constexpr (kScoreVectors > 1) {
    for (; part.lanes - lane >= kScoreVectors * kLanes; lane += kScoreVectors * kLanes)
      score_lanes<kScoreVectors>(part, lane);
  }
  for (; lane < part.lanes; lane += kLanes) score_lanes<1>(part, lane);
  write_unseen(part, -__builtin_inff());

  for (lane = 0; lane < part.lanes; lane += kLanes) {
    Vec16 maximum = load(part.scores + lane);
    for (int j = 1; j < part.count; ++j) maximum = max(maximum, load(part.scores + j * part.lanes + lane));
    for (int j = 0; j < part.count; ++j) {
      float* score = part.scores + j * part.lanes + lane;
      store(score, exp(sub(load(score), maximum)));
    }
    store(out.maximum + lane, maximum);
  }
  write_unseen(part, 0.0f);
  for (lane = 0; lane < part.lanes; lane += kLanes) {
    Vec16 total = zero();
    for (int j = 0; j < part.count; ++j) total = add(total, load(part.scores + j * part.lanes + lane));
    store(out.total + lane, total);
  }

  const int row_heads = part.counts == nullptr ? part.heads : part.row_heads;
  for (int row = 0; row * row_heads < part.heads; ++row) {
    const int count = part.counts == nullptr ? part.count : part.counts[row];
    const int end = (row + 1) * row_heads;
    int head = row * row_heads;
    for (; end - head >= kAttentionHeads; head += kAttentionHeads)
      weigh_heads<kAttentionHeads>(part, out, count, head);
    for (; head < end; ++head) weigh_heads<1>(part, out, count, head);
  }
}

void scale_two(float* into, const float* part, float into_factor, float part_factor, int n) {
  const Vec16 a = broadcast(into_factor);
  const Vec16 b = broadcast(part_factor);
  for (int i = 0; i < n; i += kLanes) store(into + i, fma(load(part + i), b, mul(load(into + i), a)));
}

void merge(const AttentionSums& into, const AttentionSums& part, int heads, int lanes) {
  for (int lane = 0; lane < lanes; lane += kLanes) {
    const Vec16 m_into = load(into.maximum + lane);
    const Vec16 m_part = load(part.maximum + lane);
    const Vec16 m = max(m_into, m_part);
    const Vec16 f_into = exp(sub(m_into, m));
    const Vec16 f_part = exp(sub(m_part, m));
    store(into.maximum + lane, m);
    store(into.total + lane, fma(load(part.total + lane), f_part, mul(load(into.total + lane), f_into)));
    float a[kLanes];
    float b[kLanes];
    store(a, f_into);
    store(b, f_part);
    const int count = heads - lane < kLanes ? heads - lane : kLanes;
    for (int h = 0; h < count; ++h) {
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(lane + h) * into.value_stride;
      scale_two(into.value + at, part.value + at, a[h], b[h], into.value_stride);
    }
  }
}

void normalise(const AttentionSums& sums, int heads) {
  for (int h = 0; h < heads; ++h) {
    float* value = sums.value + static_cast<std::ptrdiff_t>(h) * sums.value_stride;
    const Vec16 factor = broadcast(1.0f / sums.total[h]);
    for (int i = 0; i < sums.value_stride; i += kLanes) store(value + i, mul(load(value + i), factor));
  }
}

constexpr KernelTable kernel_table() {
  return {.matmul = {matmul<float>, matmul<std::uint16_t>, matmul<std::uint8_t>, matmul<std::int8_t>},
          .matmul_narrow = {},
          .narrow = nullptr,
          .layout = WeightLayout::kRows,
          .rows_per_call = 72,
          .rms_norm = rms_norm,
          .silu_mul = silu_mul,
          .add_scaled = add_scaled,
          .attend = attend,
          .merge = merge,
          .normalise = normalise};
}

}  // namespace
}  // namespace tidegate::worker
