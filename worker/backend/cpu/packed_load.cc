#include "worker/backend/cpu/packed_load.h"

#include <optional>
#include <utility>

#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/pack_cache.h"

namespace tidegate::worker {
namespace {

void enter(const LoadOptions& options, LoadPhase phase, std::int64_t bytes_total = 0) {
  if (options.progress != nullptr) options.progress->enter(phase, bytes_total);
}

/// nullopt: the file was not written by this code for this model.
std::optional<ModelWeights> weights_of(PackFile file, const ModelSpec& spec, const WeightPlan& plan, const Checkpoint& checkpoint,
                                       bool with_mtp, WeightLayout layout) {
  PackReader reader(file);
  ModelWeights weights = load_weights(spec, plan, checkpoint, with_mtp, reader, layout);
  if (reader.missing() > 0) return std::nullopt;
  weights.pack.emplace(std::move(file));  // what the matrices point at does not move with it
  return weights;
}

/// `digest`: what is known of it already; otherwise it is read first, so that weights that are not the ones meant are known
/// for it soon.
Result<PackedLoad> load_in_memory(const ModelSpec& spec, const Checkpoint& checkpoint, const LoadOptions& options,
                                  WeightLayout layout, std::optional<std::string> digest, WeightsCache outcome,
                                  std::string note) {
  TG_ASSIGN(WeightPlan plan, plan_weights(spec, checkpoint));
  if (!digest && options.digest) {
    enter(options, LoadPhase::kVerify, plan.weight_bytes);
    digest = checkpoint.digest();
  }
  enter(options, LoadPhase::kLoad, plan.weight_bytes);
  PackInMemory store;
  ModelWeights weights = load_weights(spec, plan, checkpoint, options.mtp, store, layout);
  weights.memory = store.take_memory();
  LoadReport report{.cache = outcome, .note = std::move(note), .pack_bytes = 0};
  return PackedLoad{std::move(plan), std::move(weights), std::move(digest).value_or(std::string()), std::move(report)};
}

Result<PackedLoad> load_from_cache(const PackCache& cache, const ModelSpec& spec, const Checkpoint& checkpoint, CpuIsa isa,
                                   const LoadOptions& options) {
  const PackCheck check = options.cache.verify ? PackCheck::kWhole : PackCheck::kIndex;
  const WeightLayout layout = kernels_for(isa).layout;
  const std::string fingerprint = checkpoint.fingerprint();
  std::optional<std::string> digest;
  if (!options.cache.verify) digest = cache.find_digest(fingerprint);
  if (!digest) {
    enter(options, LoadPhase::kVerify);
    digest = checkpoint.digest();
    cache.remember_digest(fingerprint, *digest);
  }
  enter(options, LoadPhase::kLoad);
  const std::string key = pack_key(spec, *digest, isa, options.mtp);
  std::string note;
  if (Result<PackFile> found = cache.find(key, check); found) {
    const std::uint64_t bytes = found->size();
    // These very bytes had their values read when they were packed: the key has their digest.
    TG_ASSIGN(WeightPlan plan, plan_weights(spec, checkpoint, ValueCheck::kSkip));
    auto weights = weights_of(*std::move(found), spec, plan, checkpoint, options.mtp, layout);
    if (weights) {
      LoadReport report{.cache = WeightsCache::kHit, .note = {}, .pack_bytes = static_cast<std::int64_t>(bytes)};
      return PackedLoad{std::move(plan), *std::move(weights), *std::move(digest), std::move(report)};
    }
    note = "the pack file lacked parts of the model";
    cache.discard(key);
  } else if (is_useless_pack(found.error())) {
    note = found.error().message;
    cache.discard(key);
  } else if (found.error().code != Code::kNotFound) {
    // Of the moment: the file stays for the next start.
    return load_in_memory(spec, checkpoint, options, layout, std::move(digest), WeightsCache::kUnavailable,
                          found.error().message);
  }

  TG_ASSIGN(WeightPlan plan, plan_weights(spec, checkpoint));
  const std::int64_t needed = packed_weight_bytes(spec, plan, checkpoint, options.mtp, layout);
  auto built = cache.find_or_build(key, needed, check, [&](PackStore& store) {
    load_weights(spec, plan, checkpoint, options.mtp, store, layout);
  });
  if (built) {
    const std::uint64_t bytes = built->size();
    auto weights = weights_of(*std::move(built), spec, plan, checkpoint, options.mtp, layout);
    if (weights) {
      LoadReport report{
          .cache = WeightsCache::kBuilt, .note = std::move(note), .pack_bytes = static_cast<std::int64_t>(bytes)};
      return PackedLoad{std::move(plan), *std::move(weights), *std::move(digest), std::move(report)};
    }
    note = "what was packed lacks parts of the model";
  } else {
    note = built.error().message;
  }
  return load_in_memory(spec, checkpoint, options, layout, std::move(digest), WeightsCache::kUnavailable, std::move(note));
}

}  // namespace

Result<PackedLoad> load_packed(const ModelSpec& spec, const Checkpoint& checkpoint, CpuIsa isa, const LoadOptions& options) {
  WeightsCache outcome = WeightsCache::kOff;
  std::string note;
  if (!options.cache.folder.empty()) {
    const auto cache = PackCache::open(options.cache.folder, options.cache.bytes_max);
    if (cache) return load_from_cache(*cache, spec, checkpoint, isa, options);
    outcome = WeightsCache::kUnavailable;
    note = cache.error().message;
  }
  return load_in_memory(spec, checkpoint, options, kernels_for(isa).layout, std::nullopt, outcome, std::move(note));
}

}  // namespace tidegate::worker
