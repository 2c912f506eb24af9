#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "scheduler/core/placement_policy.h"

namespace tidegate::scheduler {

/// Whether the pool that a deployment is in is lost to it: nothing of it has served there for so long, although some was
/// wanted, and no worker of it is on its way just now (weights may take longer to load than that). A node, a rack, a region or
/// the reach of it may be gone, or there is no room: that makes no difference to who has to serve. Pure; one thread.
class PoolWatch {
 public:
  /// A pool that was lost is not gone back to for so long.
  static constexpr Duration kShunnedFor = std::chrono::minutes(10);

  struct View {
    PoolName pool;
    bool is_wanted = false;   ///< replicas of it are to run
    std::int32_t ready = 0;   ///< that serve
    bool has_worker = false;  ///< one is live, whatever its state
  };

  void begin_term();
  /// Call with every round: the time counts from when it was seen to serve, or first seen.
  bool is_lost(const std::string& deployment, const View& view, Duration lost_after, Mono now);
  /// The deployment leaves that pool, or would if it could.
  void shun(const std::string& deployment, const PoolName& pool, Mono now);
  /// Those that it must not be put into: the ones it lost, and the ones that others lost and nobody serves in. One deployment that
  /// starts nowhere spoils no pool for others.
  std::vector<PoolName> shunned_by(const std::string& deployment, const std::set<PoolName>& serving, Mono now) const;
  /// Keeps what belongs to these deployments.
  void keep_only(const std::set<std::string>& deployments, Mono now);

 private:
  struct Silence {
    PoolName pool;
    Mono since{};
  };
  std::map<std::string, Silence> silences_;                      ///< by deployment
  std::map<std::string, std::map<PoolName, Mono>> shunned_until_;  ///< by deployment
};

}  // namespace tidegate::scheduler
