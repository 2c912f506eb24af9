#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "base/core/clock.h"
#include "gateway/core/route_table.h"

namespace tidegate::gateway {

/// What was asked of one pool since this gateway started, and what waits for it now.
struct PoolDemand {
  ServingPool pool;
  std::int64_t arrivals = 0;
  std::int64_t dispatches = 0;
  std::int64_t refusals = 0;       ///< for want of a worker
  std::int64_t prompt_tokens = 0;  ///< estimated
  std::int64_t waiting = 0;
  Duration oldest_wait{};
};

/// Where each lane writes its demand down, once a second, and the reporter reads the sum. Thread-safe.
class DemandBoard {
 public:
  void put(std::size_t lane, std::vector<PoolDemand> demand);
  /// By pool, over all lanes.
  std::vector<PoolDemand> sum() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::size_t, std::vector<PoolDemand>> lanes_;
};

}  // namespace tidegate::gateway
