#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "base/core/result.h"
#include "scheduler/core/fleet_types.h"

namespace tidegate::scheduler {

/// What is asked of whoever knows the pools.
struct HomeRequest {
  const Deployment& deployment;  ///< where it is now does not count
  std::int32_t replicas = 1;
  std::vector<PoolName> lost;    ///< not these
  std::map<PoolName, std::int32_t> replicas_in;  ///< wanted there by all other deployments
};

/// A pool that can have all of it. Fails: failed_precondition/no_pool with the reasons. Never waits.
using FindHome = std::function<Result<PoolName>(const HomeRequest&)>;

}  // namespace tidegate::scheduler
