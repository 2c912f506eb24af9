#pragma once

#include <string>
#include <vector>

#include "base/core/result.h"
#include "worker/convert/convert.h"
#include "worker/convert/output_tensor.h"
#include "worker/model/model_files.h"
#include "worker/model/weight_plan.h"

namespace tidegate::worker {

/// The tensors of a converted model in the order in which they are written, and what was left out. Views and readers refer to
/// the source's checkpoint.
struct TensorPlan {
  std::vector<OutputTensor> tensors;
  std::vector<std::string> notes;
};

/// Under Hugging Face names.
Result<TensorPlan> plan_safetensors(const ModelFiles& source, const WeightPlan& weights, Precision precision);
/// Under GGUF names: experts stacked, kv_b in halves, rotary pairs as llama.cpp wants them.
Result<TensorPlan> plan_gguf(const ModelFiles& source, const WeightPlan& weights, Precision precision);
/// A GGUF model again: every tensor under its name, in another type.
TensorPlan plan_gguf_again(const ModelFiles& source, Precision precision);

/// The source is one or more GGUF files.
bool is_gguf(const ModelFiles& source);

}  // namespace tidegate::worker
