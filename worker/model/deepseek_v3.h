#pragma once

#include "base/core/result.h"
#include "worker/model/config_reader.h"
#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// DeepseekV3ForCausalLM (V3, R1 and models of their shape): MLA, sigmoid router with correction bias and
/// groups (noaux_tc), shared expert, optional yarn, optional FP8 with 128 x 128 scales, optional draft (MTP)
/// layers.
Result<ModelSpec> read_deepseek_v3(const ConfigReader& config);

}  // namespace tidegate::worker
