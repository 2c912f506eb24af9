#include "worker/model/model_spec.h"

#include <cmath>

#include "worker/model/rope.h"

namespace tidegate::worker {

bool ModelSpec::is_moe(std::int32_t layer) const {
  // A draft layer (layer >= layers) repeats the shape of the last kind of layer, which the same rule gives.
  return moe.experts > 0 && layer >= moe.first_moe_layer && layer % moe.layer_step == 0;
}

std::int32_t ModelSpec::cache_width() const {
  switch (attention) {
    case AttentionKind::kLatent:
      return kv_lora_rank + rope_dim;
    case AttentionKind::kGrouped:
      return kv_heads * (value_dim + rope_dim);
  }
  return 0;
}

double ModelSpec::softmax_scale() const {
  const double base = 1.0 / std::sqrt(static_cast<double>(query_head_dim()));
  if (!yarn || yarn->mscale_all_dim == 0) return base;
  return base * std::pow(yarn_mscale(yarn->factor, yarn->mscale_all_dim), formulas.attention.mscale_power);
}

}  // namespace tidegate::worker
