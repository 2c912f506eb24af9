#pragma once

#include <filesystem>

#include "base/core/result.h"
#include "worker/format/checkpoint.h"
#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// A model as its files describe it. Files stay mapped while it lives.
struct ModelFiles {
  ModelSpec spec;
  Checkpoint checkpoint;
};

/// `model` is a Hugging Face folder (config.json beside safetensors), a .gguf file, or a folder without config.json that
/// holds one GGUF model. Fails: as read_model_spec, Checkpoint::open and GgufFile::open do.
Result<ModelFiles> open_model_files(const std::filesystem::path& model);

/// Where a model's side files are: the folder itself, or the one that a .gguf file lies in.
std::filesystem::path folder_of(const std::filesystem::path& model);

}  // namespace tidegate::worker
