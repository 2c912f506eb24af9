#pragma once

#include <string>

#include "scheduler/core/place/types.h"

namespace tidegate::scheduler::placement {

/// A plan for scripts, as docs/fleet_place.md describes it. Its `assignments` may be the `current` of a later demand file.
std::string plan_json(const Problem& problem, const Plan& plan);

}  // namespace tidegate::scheduler::placement
