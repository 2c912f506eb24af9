#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/core/fleet_types.h"

namespace tidegate::scheduler {

/// Where a model is served, also while no worker is ready there.
struct Offer {
  std::string model;
  std::string region;
  std::string pool;
  std::int32_t context_max = 0;  ///< the catalogue's

  auto operator<=>(const Offer&) const = default;
};

/// How a model's requests in one pool are divided: by weight, between arms. An arm without a share gets nothing.
struct TrafficShare {
  std::string model;
  std::string region;
  std::string pool;
  std::string arm;
  std::int64_t weight = 0;

  auto operator<=>(const TrafficShare&) const = default;
};

/// The picture gateways see, and its version.
struct RouteSnapshot {
  Term term = 0;
  std::uint64_t version = 0;
  std::vector<Route> routes;
  /// Offered by a deployment, also while no worker is ready, or by a ready worker that was started by hand. Sorted.
  std::vector<std::string> models;
  std::vector<Offer> offers;  ///< of deployments that may have no replica for a while, sorted
  std::vector<TrafficShare> shares = {};  ///< of pools whose traffic is divided, sorted

  bool operator==(const RouteSnapshot&) const = default;
};

class RouteBook {
 public:
  /// A new term starts over at version 1: (term, version) orders pictures of all leaders.
  void begin_term(Term term) { snapshot_ = {.term = term, .version = 1}; }

  /// True if the picture changed, and so its version.
  bool update(std::vector<Route> routes, std::vector<std::string> models, std::vector<Offer> offers = {},
              std::vector<TrafficShare> shares = {}) {
    if (routes == snapshot_.routes && models == snapshot_.models && offers == snapshot_.offers && shares == snapshot_.shares) {
      return false;
    }
    snapshot_.routes = std::move(routes);
    snapshot_.models = std::move(models);
    snapshot_.offers = std::move(offers);
    snapshot_.shares = std::move(shares);
    ++snapshot_.version;
    return true;
  }
  const RouteSnapshot& snapshot() const { return snapshot_; }

 private:
  RouteSnapshot snapshot_;
};

}  // namespace tidegate::scheduler
