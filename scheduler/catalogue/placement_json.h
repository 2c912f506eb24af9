#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"
#include "scheduler/core/placement_policy.h"

namespace tidegate::scheduler {

/// A placement policy as JSON, in PostgreSQL. "{}": off. Nobody types it in, so it is read strictly.
std::string write_placement(const PlacementPolicy& policy);
/// Fails: invalid_argument/{invalid_json, missing_field, wrong_type, bad_placement}.
Result<PlacementPolicy> parse_placement(std::string_view text);

}  // namespace tidegate::scheduler
