#pragma once

#include "worker/backend/cpu/attention_block.h"

namespace tidegate::worker {

/// Multi-head latent attention in its absorbed form, for prefill and decode alike (one form, so that chunking
/// cannot change a bit): q' = [q_nope W_UK | rope(q_pe)] is compared with cached [norm(c) | rope(k_pe)] as
/// one key for all heads, the probabilities weigh c, and W_UV brings the result out. Costs 3.4 x the
/// multiplications of the naive form on long prefills and reads 1/10 of its memory; a naive prefill joins
/// with the real kernels.
///
/// A query row sees its sequence in parts of kAttentionPart tokens counted from position 0; parts are summed
/// apart and merged in order, whether one thread did them all or several shared them.
class Attention final : public AttentionBlock {
 public:
  Attention(const ModelSpec& spec, const KernelTable& kernels, ComputePool& pool, Matmul& matmul);

  void run(const LayerWeights& layer, const StepRows& step, const float* x, KvCache& cache,
           std::int32_t cache_layer, float* out) override;

 private:
  void project(const AttentionWeights& weights, std::int64_t rows, const float* x);
  void write_cache(const AttentionWeights& weights, const StepRows& step, KvCache& cache, std::int32_t layer);
  void absorb_queries(const AttentionWeights& weights, const StepRows& step);
  void attend(const StepRows& step, KvCache& cache, std::int32_t layer);
  void lift_values(const AttentionWeights& weights, std::int64_t rows, float* out);

  AttentionSums sums_of_row(std::int64_t row);
  AttentionSums sums_of_part(std::int64_t part);
  std::int32_t visible_tokens(const StepRows& step, const StepRows::Row& row) const;
  void attend_part(const StepRows& step, std::int64_t row, std::int32_t part, KvCache& cache,
                   std::int32_t layer, int thread, const AttentionSums& out);

  const ModelSpec& spec_;
  const KernelTable& kernels_;
  ComputePool& pool_;
  Matmul& matmul_;
  const int lanes_;         ///< heads rounded up to 16
  const int value_stride_;  ///< latent rounded up to 16
  const std::int64_t sums_floats_;
  const float scale_;

  AlignedBuffer<float> q_a_;       ///< [row][q_lora]
  AlignedBuffer<float> kv_a_;      ///< [row][cache width]
  AlignedBuffer<float> q_;         ///< [row][head][nope + rope]
  AlignedBuffer<float> absorbed_;  ///< [row][head][cache width]
  AlignedBuffer<float> sums_;      ///< [row]: maximum, total, value
  AlignedBuffer<float> parts_;     ///< the same by (row, part) when parts are shared out, else by thread
  AlignedBuffer<float> heads_;     ///< [row][head][value]
  AlignedBuffer<float> thread_;    ///< per thread: query [width][lanes], scores [part][lanes]
};

}  // namespace tidegate::worker
