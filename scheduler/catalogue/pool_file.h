#pragma once

#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "scheduler/core/accelerator.h"
#include "scheduler/core/plan/deployment_plan.h"

namespace tidegate::scheduler {

/// The `accelerator` of a pool whose replicas are processes of this machine.
inline constexpr const char* kLocalAccelerator = "local";
inline constexpr std::size_t kPlannedPoolsMax = 4096;
inline constexpr std::int64_t kPlannedNodesMax = 65'536;

/// {"pools": [...]}: docs/deployments.md has the members. A price that is absent is the accelerator's typical one.
/// Fails: invalid_argument/{invalid_json, missing_field, wrong_type, bad_pools, duplicate_pool},
/// not_found/unknown_accelerator.
Result<std::vector<PlannedPool>> read_pools(std::string_view text, const AcceleratorTable& accelerators);

}  // namespace tidegate::scheduler
