#pragma once

#include <memory>

#include "worker/backend/cpu/kv_cache.h"
#include "worker/backend/cpu/matmul.h"
#include "worker/backend/cpu/step_rows.h"
#include "worker/backend/cpu/weights.h"

namespace tidegate::worker {

/// The attention half of a block, one implementation per AttentionKind. Owns its scratch memory; one per backend, used
/// for every layer.
class AttentionBlock {
 public:
  virtual ~AttentionBlock() = default;
  /// Writes the cache rows of this step into `cache_layer`, then out[row] = o_proj(attention(x[row])).
  /// x, out: [rows][hidden]; x is already normed. `layer` holds the weights of this block's kind.
  virtual void run(const LayerWeights& layer, const StepRows& step, const float* x, KvCache& cache,
                   std::int32_t cache_layer, float* out) = 0;
};

/// All arguments must outlive it.
std::unique_ptr<AttentionBlock> make_attention(const ModelSpec& spec, const KernelTable& kernels, ComputePool& pool,
                                               Matmul& matmul);

}  // namespace tidegate::worker
