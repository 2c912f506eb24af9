#pragma once

#include <filesystem>
#include <memory>

#include "base/core/result.h"
#include "worker/backend/backend.h"
#include "worker/backend/cpu/isa.h"

namespace tidegate::worker {

struct LoadOptions {
  int threads = 2;             ///< compute threads including the caller's, 1..kThreadsMax
  CpuIsa isa = CpuIsa::kAuto;  ///< kAuto = the widest this CPU has
  bool mtp = false;            ///< load the draft layer, if the checkpoint has one
  bool digest = true;          ///< compute ModelFacts::weights_digest (reads every byte once more)

  static constexpr int kThreadsMax = 256;
};

/// Reads a Hugging Face folder, or a GGUF file or folder, and returns the CPU backend, without KV memory
/// (alloc_kv comes next). Blocks for the disk and for repacking; the files are closed again on return.
/// Fails: not_found, invalid_argument/{unknown_architecture, bad_config, bad_safetensors, bad_index,
/// bad_gguf, bad_weights}, invalid_argument/bad_option.
Result<std::unique_ptr<Backend>> load_backend(const std::filesystem::path& model_dir,
                                              const LoadOptions& options);

}  // namespace tidegate::worker
