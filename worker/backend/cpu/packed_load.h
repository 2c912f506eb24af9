#pragma once

#include <string>

#include "base/core/result.h"
#include "worker/backend/cpu/weights.h"
#include "worker/backend/load.h"

namespace tidegate::worker {

/// Weights, ready to be computed with, and what was read on the way.
struct PackedLoad {
  WeightPlan plan;
  ModelWeights weights;
  std::string digest;  ///< "" without LoadOptions::digest and without a cache
  LoadReport report;
};

/// Checks the checkpoint against the spec and packs its matrices: from the pack cache where `options` names one, in memory
/// otherwise. A cache that cannot be used costs time, never the start. Fails: as plan_weights.
Result<PackedLoad> load_packed(const ModelSpec& spec, const Checkpoint& checkpoint, CpuIsa isa, const LoadOptions& options);

}  // namespace tidegate::worker
