#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "worker/convert/convert.h"
#include "worker/model/model_files.h"

namespace tidegate::worker {

/// A text file of the new model: its name, and what it holds.
struct SideFile {
  std::string name;
  std::string text;
};

/// Everything but the weights: config.json for safetensors, tokenizer, chat template, defaults for sampling, licence. From the
/// source's files where it has them, otherwise from its GGUF metadata. What is missing becomes a line of `notes`.
Result<std::vector<SideFile>> side_files_of(const std::filesystem::path& source, const ModelFiles& model,
                                            const ConvertOptions& options, std::vector<std::string>& notes);

/// Metadata of the new GGUF file.
Result<GgufHead> gguf_head_of(const std::filesystem::path& source, const ModelFiles& model, const ConvertOptions& options,
                              std::vector<std::string>& notes);

}  // namespace tidegate::worker
