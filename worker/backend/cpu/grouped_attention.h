#pragma once

#include <span>

#include "worker/backend/cpu/attention_block.h"

namespace tidegate::worker {

/// Attention with keys and values per kv head, each shared by heads / kv_heads query heads (plain multi-head attention is
/// groups of one). The cache holds, per token and kv head, [value | roped key], so that a group looks to the kernels as
/// MLA's heads do: several queries, one row.
///
/// A (row, kv head) sees its sequence in parts of kAttentionPart tokens counted from position 0; parts are summed apart
/// and merged in order, whether one thread did them all or several shared them.
class GroupedAttention final : public AttentionBlock {
 public:
  GroupedAttention(const ModelSpec& spec, const KernelTable& kernels, ComputePool& pool, Matmul& matmul);
  void run(const LayerWeights& layer, const StepRows& step, const float* x, KvCache& cache, std::int32_t cache_layer,
           float* out) override;
  std::size_t scratch_bytes() const override;
  static std::int64_t scratch_bytes_max(const ModelSpec& spec, int threads, std::int64_t rows);

 private:
  /// One part of what a (row, kv head) sees, for whichever thread takes it.
  struct PartTask {
    std::int64_t unit = 0;
    std::int32_t part = 0;
  };

  void project(const GroupedWeights& weights, std::int64_t rows, const float* x);
  void add_bias(const std::vector<float>& bias, std::int64_t rows, float* y);
  void rotate(const StepRows& step, std::int32_t heads, float* y) const;
  void write_cache(const StepRows& step, KvCache& cache, std::int32_t layer);
  void attend(const StepRows& step, KvCache& cache, std::int32_t layer);
  void attend_part(const StepRows& step, std::int64_t unit, std::int32_t part, KvCache& cache, std::int32_t layer,
                   int thread, const AttentionSums& out);
  void attend_wave(const StepRows& step, std::span<const PartTask> wave, KvCache& cache, std::int32_t layer);
  void gather_heads(std::int64_t rows);

  /// The query head that is `member` of those sharing `kv_head`.
  std::int64_t query_head(std::int64_t kv_head, std::int64_t member) const;
  std::int32_t visible_tokens(const StepRows& step, const StepRows::Row& row) const;
  AttentionSums sums_at(AlignedBuffer<float>& buffer, std::int64_t index) const;

  const ModelSpec& spec_;
  const KernelTable& kernels_;
  ComputePool& pool_;
  Matmul& matmul_;
  const std::int32_t head_dim_;
  const std::int32_t group_;          ///< query heads per kv head
  const int lanes_;                   ///< group rounded up to 16
  const int value_stride_;            ///< head_dim rounded up to 16
  const std::int64_t sums_floats_;    ///< of one (row, kv head)
  const std::int64_t thread_floats_;  ///< query [head_dim][lanes], scores [part][lanes]
  const float scale_;

  AlignedBuffer<float> q_;       ///< [row][head][head_dim]
  AlignedBuffer<float> k_;       ///< [row][kv head][head_dim]
  AlignedBuffer<float> v_;       ///< the same
  AlignedBuffer<float> sums_;    ///< [row][kv head]: maximum, total, value
  AlignedBuffer<float> parts_;   ///< the same by (row, kv head, part) of a wave when parts are shared out, else by thread
  AlignedBuffer<float> heads_;   ///< [row][head][head_dim]
  AlignedBuffer<float> thread_;  ///< per thread
};

}  // namespace tidegate::worker
