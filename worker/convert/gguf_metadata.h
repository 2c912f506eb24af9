#pragma once

#include <string>

#include "base/core/result.h"
#include "worker/convert/convert.h"
#include "worker/format/gguf_head.h"
#include "worker/model/model_files.h"

namespace tidegate::worker {

/// The metadata by which llama.cpp (and this engine's gguf_config.h) reads the model: architecture, sizes, rope, experts.
/// Fails: invalid_argument/bad_conversion where GGUF's architecture has no words for a setting; Error::field is its member of
/// config.json.
Status put_model_metadata(const ModelSpec& spec, std::string_view name, Precision precision, GgufHead& head);

/// Everything that the source's own metadata says, but for what describes its file.
void put_metadata_again(const GgufFile& source, Precision precision, GgufHead& head);

}  // namespace tidegate::worker
