#pragma once

#include "scheduler/core/place/types.h"

namespace tidegate::scheduler::placement {

/// The cost of the best plan by looking at all of them: every way to give each demand up to `replicas_most` replicas on
/// concrete nodes. Only for problems without `current` and with one-node layouts; minutes for more than a handful.
Micros best_cost(const Problem& problem, std::size_t replicas_most);

}  // namespace tidegate::scheduler::placement
