#include "worker/backend/cpu/attention_block.h"

#include "worker/backend/cpu/attention.h"
#include "worker/backend/cpu/grouped_attention.h"

namespace tidegate::worker {

std::int64_t attention_scratch_bytes_max(const ModelSpec& spec, int threads, std::int64_t rows) {
  switch (spec.attention) {
    case AttentionKind::kLatent:
      return Attention::scratch_bytes_max(spec, threads, rows);
    case AttentionKind::kGrouped:
      return GroupedAttention::scratch_bytes_max(spec, threads, rows);
  }
  return 0;
}

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
