#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gateway/core/route_table.h"
#include "gateway/core/traffic_split.h"

namespace tidegate::gateway {

/// How the requests of a whole gateway are divided between arms: one count for all lanes, so that a share holds however
/// few requests a lane sees. Locked for one decision; nothing waits inside. Thread-safe.
class TrafficBoard {
 public:
  /// Every lane tells it the same picture; `order` is (term, version), and an older one is ignored.
  void apply(std::pair<std::uint64_t, std::uint64_t> order, const std::vector<TrafficShare>& shares);

  /// Whether requests of the pool may go to the arm at all: false while the pool is divided and nothing is the arm's.
  bool has_part(const ServingPool& pool, const std::string& arm);

  struct ArmNow {
    std::string name;
    bool is_serving = false;
    bool can_take = false;
  };
  struct Decision {
    bool is_divided = false;  ///< false: any worker will do
    std::string arm;          ///< of those whose turn it is; meaningless while `waits`
    bool waits = false;       ///< nobody whose turn it is has room
    bool is_passed_on = false;
  };
  /// Decides for one request and counts it. `arms`: what this lane sees; `home`: the arm that has its conversation, or
  /// empty.
  Decision decide(const ServingPool& pool, std::span<const ArmNow> arms, const std::string& home);

 private:
  using Place = std::pair<std::string, std::pair<std::string, std::string>>;  // model, region, pool
  static Place place_of(const std::string& model, const std::string& region, const std::string& pool) {
    return {model, {region, pool}};
  }

  std::mutex mutex_;
  std::pair<std::uint64_t, std::uint64_t> order_{};
  std::map<Place, TrafficSplit> splits_;
};

}  // namespace tidegate::gateway
