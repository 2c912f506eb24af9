#pragma once

#include <span>
#include <vector>

#include "worker/backend/cpu/attention_block.h"

namespace tidegate::worker {

/// Multi-head latent attention in its absorbed form, for prefill and decode alike (one form, so that chunking
/// cannot change a bit): q' = [q_nope W_UK | rope(q_pe)] is compared with cached [norm(c) | rope(k_pe)] as
/// one key for all heads, the probabilities weigh c, and W_UV brings the result out. In V3 a head multiplies
/// 3.4 x as much a token it sees as in the naive form (576 + 512 for 192 + 128), which would read keys and values
/// of all 128 heads where this reads 576 floats. There is no naive form here.
///
/// A query row sees its sequence in parts of kAttentionPart tokens counted from position 0; parts are summed
/// apart and merged in order, whether one thread did them all or several shared them. Neighbouring rows of a
/// prompt look together (QueryBlock), each as far as it sees.
class Attention final : public AttentionBlock {
 public:
  Attention(const ModelSpec& spec, const KernelTable& kernels, ComputePool& pool, Matmul& matmul);

  void run(const LayerWeights& layer, const StepRows& step, const float* x, KvCache& cache,
           std::int32_t cache_layer, float* out) override;
  std::size_t scratch_bytes() const override;
  static std::int64_t scratch_bytes_max(const ModelSpec& spec, int threads, std::int64_t rows);

 private:
  void project(const AttentionWeights& weights, std::int64_t rows, const float* x);
  void write_cache(const AttentionWeights& weights, const StepRows& step, KvCache& cache, std::int32_t layer);
  void absorb_queries(const AttentionWeights& weights, const StepRows& step);
  void attend(const StepRows& step, KvCache& cache, std::int32_t layer);
  void lift_values(const AttentionWeights& weights, std::int64_t rows, float* out);

  /// Neighbouring rows of one sequence with equally many parts.
  struct QueryBlock {
    std::int64_t first = 0;
    int rows = 1;
    std::int32_t parts = 0;
  };
  /// One part of a block's context, for whichever thread takes it.
  struct PartTask {
    const QueryBlock* block = nullptr;
    std::int32_t part = 0;
    std::int64_t at = 0;  ///< in parts_; the first part of a block has its place in sums_
  };

  AttentionSums sums_at(float* base, int rows) const;
  AttentionSums sums_of_block(const QueryBlock& block);
  std::int32_t visible_tokens(const StepRows& step, const StepRows::Row& row) const;
  std::int32_t parts_of(const StepRows& step, std::int64_t row) const;
  std::vector<QueryBlock> blocks_of(const StepRows& step, int rows_max) const;
  float* load_queries(const QueryBlock& block, int thread);
  void attend_part(const StepRows& step, const QueryBlock& block, const float* query, std::int32_t part, KvCache& cache,
                   std::int32_t layer, int thread, const AttentionSums& out);
  void attend_blocks(const StepRows& step, std::span<const QueryBlock> blocks, KvCache& cache, std::int32_t layer);
  void attend_parts(const StepRows& step, std::span<const QueryBlock> blocks, KvCache& cache, std::int32_t layer);
  void attend_wave(const StepRows& step, std::span<const PartTask> wave, std::int64_t floats, KvCache& cache, std::int32_t layer);

  const ModelSpec& spec_;
  const KernelTable& kernels_;
  ComputePool& pool_;
  Matmul& matmul_;
  const int lanes_;         ///< heads rounded up to 16
  const int block_rows_;    ///< rows that look together at most: two vectors of heads
  const int value_stride_;  ///< latent rounded up to 16
  const std::int64_t sums_floats_;
  const float scale_;

  AlignedBuffer<float> q_a_;       ///< [row][q_lora]
  AlignedBuffer<float> kv_a_;      ///< [row][cache width]
  AlignedBuffer<float> q_;         ///< [row][head][nope + rope]
  AlignedBuffer<float> absorbed_;  ///< [row][head][cache width]
  AlignedBuffer<float> sums_;      ///< from a block's first row on: maximum, total, value of its rows' heads
  AlignedBuffer<float> parts_;     ///< the same by (block, part) of a wave when parts are shared out, else by thread
  std::vector<const float*> values_;  ///< [row]: its values in sums_, [head][value_stride]
  AlignedBuffer<float> heads_;     ///< [row][head][value]
  AlignedBuffer<float> thread_;    ///< per thread: query [width][block lanes], scores [part][block lanes]
};

}  // namespace tidegate::worker
