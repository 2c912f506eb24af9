#pragma once

#include "worker/backend/cpu/matmul.h"
#include "worker/backend/cpu/weights.h"
#include "worker/backend/taps.h"

namespace tidegate::worker {

/// The second half of a block: one gated MLP, or routed experts plus the shared one.
/// A layer is two parallel regions over all experts that any row chose: gate and up, then down.
class FeedForward {
 public:
  FeedForward(const ModelSpec& spec, const KernelTable& kernels, ComputePool& pool, Matmul& matmul);

  /// out[row] = ffn(x[row]); x, out: [rows][hidden]; x is already normed. `taps` may be null.
  void run(const LayerWeights& weights, std::int64_t rows, const float* x, float* out, std::int32_t layer,
           TapSink* taps);

 private:
  void run_dense(const MlpWeights& weights, std::int64_t rows, const float* x, float* out);
  void run_moe(const MoeWeights& weights, std::int64_t rows, const float* x, float* out, std::int32_t layer,
               TapSink* taps);
  void route(const MoeWeights& weights, std::int64_t rows, const float* x);
  void tap_routes(std::int64_t rows, std::int32_t layer, TapSink& taps) const;

  const ModelSpec& spec_;
  const KernelTable& kernels_;
  ComputePool& pool_;
  Matmul& matmul_;
  AlignedBuffer<float> logits_;        ///< [row][experts]
  AlignedBuffer<float> gated_;         ///< [row][choice][intermediate], then shared [row][shared width]
  AlignedBuffer<float> results_;       ///< [row][choice][hidden]
  std::vector<std::int32_t> experts_;  ///< [row][choice], best first
  std::vector<float> expert_weights_;  ///< [row][choice]
};

}  // namespace tidegate::worker
