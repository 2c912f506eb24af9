#pragma once

#include "scheduler/core/place/model.h"

namespace tidegate::bench {

struct FirstFit {
  scheduler::placement::Micros cost = 0;
  std::int64_t gpus_used = 0;
  std::int32_t served = 0;
  std::int32_t partly = 0;
  std::int32_t refused = 0;
};

/// The baseline: demands by GPUs, largest first; what runs stays; then the layout that is cheapest for its throughput
/// and still fits, again and again until the demand is served. All hard rules hold here as well.
FirstFit first_fit_decreasing(const scheduler::placement::Model& model);

}  // namespace tidegate::bench
