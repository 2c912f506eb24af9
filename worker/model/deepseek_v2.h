#pragma once

#include "base/core/result.h"
#include "worker/model/config_reader.h"
#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// DeepseekV2ForCausalLM (V2, V2.5, V2-Lite, Coder-V2): MLA with or without q_lora_rank, softmax router over all experts,
/// greedy or limited to the best groups (a group is worth its best expert), shared experts in one MLP, optional yarn. The
/// routed scale applies only where weights are not renormalised: so does the authors' gate.
Result<ModelSpec> read_deepseek_v2(const ConfigReader& config);

}  // namespace tidegate::worker
