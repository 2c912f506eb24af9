#pragma once

#include "worker/backend/cpu/attention_block.h"
#include "worker/backend/cpu/feed_forward.h"

namespace tidegate::worker {

/// The decoder stack over the rows of one step. Owns the scratch memory; one per backend.
class Decoder {
 public:
  Decoder(const ModelSpec& spec, const ModelWeights& weights, const KernelTable& kernels, ComputePool& pool);

  /// Residual stream after the last layer (before the final norm), [rows][hidden], valid until the next call.
  /// Cache rows are written to layers [0, layers). `taps` may be null.
  float* run(const StepRows& step, KvCache& cache, TapSink* taps);

  /// One block in place on `x`: x += attention(norm(x)); x += ffn(norm(x)).
  void run_block(const LayerWeights& layer, const StepRows& step, KvCache& cache, std::int32_t index,
                 float* x, TapSink* taps);

  /// logits[i] = head * norm(x_rows[i]).
  void head(std::span<const float* const> x_rows, const std::vector<float>& norm, const PackedMatrix& head,
            std::span<float* const> logits);

  Matmul& matmul() { return matmul_; }
  [[nodiscard]] std::size_t attention_scratch_bytes() const { return attention_->scratch_bytes(); }

 private:
  const ModelSpec& spec_;
  const ModelWeights& weights_;
  const KernelTable& kernels_;
  ComputePool& pool_;
  Matmul matmul_;
  std::unique_ptr<AttentionBlock> attention_;
  FeedForward feed_forward_;
  AlignedBuffer<float> x_;       ///< [row][hidden]
  AlignedBuffer<float> normed_;  ///< [row][hidden]
  AlignedBuffer<float> delta_;   ///< [row][hidden]
};

}  // namespace tidegate::worker
