#pragma once

#include "base/core/result.h"
#include "worker/model/config_reader.h"
#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// Qwen2ForCausalLM (the Qwen distills): grouped-query attention with half-split rope and biases on q, k and v, dense
/// layers, head tied or not. Sliding windows are refused: no released distill uses one.
Result<ModelSpec> read_qwen2(const ConfigReader& config);

}  // namespace tidegate::worker
