#pragma once

#include "base/core/result.h"
#include "worker/model/config_reader.h"
#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// LlamaForCausalLM (DeepSeek LLM, the Llama distills): grouped-query attention with half-split rope, optionally scaled as
/// Llama 3.1 does, dense layers, head tied or not. No biases.
Result<ModelSpec> read_llama(const ConfigReader& config);

}  // namespace tidegate::worker
