#pragma once

#include <cstddef>
#include <cstdint>
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
  /// What it holds by now. Grows with the rows of the largest step and the number of threads, never with the context.
  virtual std::size_t scratch_bytes() const = 0;
};

/// At most what scratch_bytes() of such a model comes to, with steps of `rows` tokens.
std::int64_t attention_scratch_bytes_max(const ModelSpec& spec, int threads, std::int64_t rows);

/// All arguments must outlive it.
std::unique_ptr<AttentionBlock> make_attention(const ModelSpec& spec, const KernelTable& kernels, ComputePool& pool,
                                               Matmul& matmul);

}  // namespace tidegate::worker
