#pragma once

#include "base/core/result.h"
#include "base/json/json.h"
#include "worker/format/gguf.h"

namespace tidegate::worker {

/// The config.json that a GGUF file's metadata stands for, so that both kinds of folder pass the same readers and limits.
/// Knows general.architecture "llama", "qwen2", "deepseek" (MoE-16B) and "deepseek2" (V2, V2-Lite, V3, R1). Fails:
/// invalid_argument/unknown_architecture; invalid_argument/bad_gguf with the key in Error::field: missing, of another
/// type, or a setting that this engine does not run.
Result<json::object> config_of_gguf(const GgufFile& file);

}  // namespace tidegate::worker
