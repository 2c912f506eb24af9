#pragma once

#include "base/core/random.h"
#include "scheduler/core/place/types.h"

namespace tidegate::test {

/// A small placement problem with every rule in it: regions, dedicated pools, quotas, failure domains, N+1, groups of
/// nodes, nodes that are partly taken, and replicas that run already (some lost, some where they may not be any more).
scheduler::placement::Problem random_place_case(Rng& rng);

}  // namespace tidegate::test
