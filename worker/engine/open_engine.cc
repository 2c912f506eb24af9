#include "worker/engine/open_engine.h"

#include <algorithm>

#include "base/crypto/sha256.h"
#include "worker/engine/engine_core.h"
#include "worker/engine/kv_pool.h"

namespace tidegate::worker {
namespace {

std::uint64_t system_entropy() {
  std::uint64_t word = 0;
  SystemEntropy().fill(&word, sizeof(word));
  return word;
}

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

// As many blocks as every sequence could need at full context, or as the memory allows.
std::int32_t kv_blocks(const ModelFacts& facts, const EngineOptions& options) {
  const std::int64_t useful = std::int64_t{options.sequences_max} * kv_blocks_for(facts.context_max);
  const std::int64_t block_bytes = std::max<std::int64_t>(1, facts.kv_bytes_per_token) * kKvBlockTokens;
  const std::int64_t affordable = options.kv_bytes_max / block_bytes;
  constexpr std::int64_t kBlocksMax = 1 << 28;
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(std::min(useful, affordable), 0, kBlocksMax));
}

Status apply_defaults(const EngineOptions& options, SamplerParams& defaults) {
  defaults.temperature = options.temperature.value_or(defaults.temperature);
  defaults.top_p = options.top_p.value_or(defaults.top_p);
  defaults.top_k = options.top_k.value_or(defaults.top_k);
  TG_TRY(check_temperature(defaults.temperature));
  TG_TRY(check_top_p(defaults.top_p));
  return check_top_k(defaults.top_k);
}

}  // namespace

Result<std::unique_ptr<Engine>> open_engine(const std::filesystem::path& model_dir,
                                            const EngineOptions& options) {
  TG_ASSIGN(ServedModel model, load_served_model(model_dir));
  TG_TRY(apply_defaults(options, model.defaults));
  LoadOptions load = options.load;
  load.mtp = load.mtp || options.drafts_batch_max > 0;
  TG_ASSIGN(std::unique_ptr<Backend> backend, load_backend(model_dir, load));
  if (options.load.progress != nullptr) options.load.progress->enter(LoadPhase::kWarm);
  const EngineLimits limits{.schedule = {options.sequences_max, options.step_tokens_max},
                            .waiting_max = options.waiting_max,
                            .kv_blocks = kv_blocks(backend->facts(), options),
                            .prefix_cache = options.prefix_cache,
                            .drafts_batch_max = options.drafts_batch_max};
  const std::uint64_t entropy = options.entropy ? *options.entropy : system_entropy();
  const Clock& clock = options.clock != nullptr ? *options.clock : system_clock();
  TG_ASSIGN(std::unique_ptr<EngineCore> engine,
            EngineCore::create(std::move(backend), std::move(model), limits, entropy, clock));
  return engine;
}

}  // namespace tidegate::worker
