#pragma once

#include <vector>

#include "base/core/result.h"
#include "scheduler/config.h"
#include "scheduler/core/plan/deployment_plan.h"

namespace tidegate::scheduler {

/// The pools that deployments are planned over: where this installation starts replicas, which is this machine with the
/// local driver and the pools without accelerators of kubernetes.pools_file with the other, and those of pools.file,
/// which may say more of the former (accelerator "local"). Fails: as read_pools(), load_accelerators() and
/// PoolShapes::load() do, invalid_argument/unknown_pool.
Result<std::vector<PlannedPool>> planned_pools(const SchedulerConfig& config);

}  // namespace tidegate::scheduler
