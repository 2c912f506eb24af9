#include "worker/backend/cpu/attention_block.h"

#include "worker/backend/cpu/attention.h"
#include "worker/backend/cpu/grouped_attention.h"

namespace tidegate::worker {

std::unique_ptr<AttentionBlock> make_attention(const ModelSpec& spec, const KernelTable& kernels, ComputePool& pool,
                                               Matmul& matmul) {
  switch (spec.attention) {
    case AttentionKind::kLatent:
      return std::make_unique<Attention>(spec, kernels, pool, matmul);
    case AttentionKind::kGrouped:
      return std::make_unique<GroupedAttention>(spec, kernels, pool, matmul);
  }
  return nullptr;
}

}  // namespace tidegate::worker
