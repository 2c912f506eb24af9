#pragma once

#include "base/core/result.h"
#include "worker/model/config_reader.h"
#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// DeepseekForCausalLM (DeepSeekMoE-16B): multi-head attention with half-split rope, softmax router over all experts,
/// greedy, shared experts in one MLP. No scale on the routed sum.
Result<ModelSpec> read_deepseek_moe(const ConfigReader& config);

}  // namespace tidegate::worker
