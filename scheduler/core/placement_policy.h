#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

/// Deployments whose pool the scheduler chooses, and chooses again when it is lost.
namespace tidegate::scheduler {

inline constexpr std::int32_t kLostAfterS = 120;
inline constexpr std::int32_t kLostAfterLeastS = 5;
inline constexpr std::int32_t kLostAfterMostS = 86'400;
inline constexpr std::size_t kPlacementNamesMax = 64;

struct PoolName {
  std::string region;
  std::string pool;

  auto operator<=>(const PoolName&) const = default;
  std::string to_string() const { return region + "/" + pool; }
};

/// Of one deployment. Off: it stays where its region and pool say.
struct PlacementPolicy {
  bool is_on = false;
  std::vector<std::string> regions;  ///< residency: only these; empty: any
  std::vector<std::string> pools;    ///< only pools of these names; empty: any that is nobody's own
  std::int32_t lost_after_s = kLostAfterS;

  bool operator==(const PlacementPolicy&) const = default;

  bool allows(const PoolName& place) const {
    const auto has = [](const std::vector<std::string>& names, const std::string& name) {
      return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
    };
    return has(regions, place.region) && has(pools, place.pool);
  }
};

}  // namespace tidegate::scheduler
