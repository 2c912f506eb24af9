#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "worker/backend/load.h"
#include "worker/engine/engine.h"

namespace tidegate::worker {

struct EngineOptions {
  std::int32_t sequences_max = 16;  ///< in the batch at once
  std::int32_t waiting_max = 16;    ///< accepted beyond the batch
  std::int32_t step_tokens_max =
      256;  ///< per step; larger = faster prefill, longer pauses for those who decode
  std::int64_t kv_bytes_max = std::int64_t{1}
                              << 30;  ///< KV memory; less is taken if all sequences fit at full context
  bool prefix_cache = true;           ///< prompts that begin alike are computed once, within one salt
  std::int32_t drafts_batch_max = 0;  ///< as EngineLimits; above 0 the draft layer is loaded, if there is one
  LoadOptions load;                   ///< threads and instruction set

  // Defaults for requests that leave these unset; they win over the model folder's files (see
  // served_model.h).
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<std::int32_t> top_k;

  std::optional<std::uint64_t> entropy;  ///< seeds requests without a seed; unset = from the operating system
  const Clock* clock = nullptr;  ///< for step times; nullptr = the system clock. Must outlive the engine
};

/// Loads a Hugging Face folder, or a folder with a GGUF model and a tokenizer_config.json, and opens the serving core on
/// the CPU backend. Reads every weight once;
/// seconds to minutes. Fails: as load_backend, load_served_model and EngineCore::create do;
/// invalid_argument/bad_option.
Result<std::unique_ptr<Engine>> open_engine(const std::filesystem::path& model_dir,
                                            const EngineOptions& options);

}  // namespace tidegate::worker
