#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/core/result.h"
#include "worker/backend/backend.h"
#include "worker/backend/cpu/isa.h"
#include "worker/backend/load_progress.h"

namespace tidegate::worker {

/// Where repacked weights are kept between starts (cpu/pack_cache.h).
struct WeightsCacheOptions {
  std::filesystem::path folder;                       ///< empty: nowhere
  std::int64_t bytes_max = std::int64_t{64} << 30;    ///< of all files in it
  bool verify = false;  ///< read all of the weights and of the packed file before they are believed
};

enum class WeightsCache : std::uint8_t {
  kOff,          ///< no folder was named
  kHit,          ///< the packed weights were there
  kBuilt,        ///< they are now
  kUnavailable,  ///< the folder could not be used; the weights are in memory
};

struct LoadReport {
  WeightsCache cache = WeightsCache::kOff;
  std::string note;             ///< why a file was built again, or the folder not used
  std::int64_t pack_bytes = 0;  ///< of the mapped file
  CpuIsa isa = CpuIsa::kAuto;   ///< the kernels that compute; kAuto: nothing was loaded
};

struct LoadOptions {
  int threads = 2;             ///< compute threads including the caller's, 1..kThreadsMax
  CpuIsa isa = CpuIsa::kAuto;  ///< kAuto = the widest this CPU has
  bool mtp = false;            ///< load the draft layer, if the checkpoint has one
  bool digest = true;          ///< compute ModelFacts::weights_digest (reads every byte once more)
  LoadProgress* progress = nullptr;  ///< told of each phase; null: nobody asks
  WeightsCacheOptions cache;
  LoadReport* report = nullptr;  ///< written when the model is loaded; nullptr: nobody asks

  static constexpr int kThreadsMax = 256;
};

/// Reads a Hugging Face folder, or a GGUF file or folder, and returns the CPU backend, without KV memory
/// (alloc_kv comes next). Blocks for the disk and for repacking, or for neither where the cache has what was packed before;
/// the files are closed again on return.
/// Fails: not_found, invalid_argument/{unknown_architecture, bad_config, bad_safetensors, bad_index,
/// bad_gguf, bad_weights}, invalid_argument/bad_option.
Result<std::unique_ptr<Backend>> load_backend(const std::filesystem::path& model_dir,
                                              const LoadOptions& options);

}  // namespace tidegate::worker
