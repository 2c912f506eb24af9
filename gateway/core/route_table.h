#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace tidegate::gateway {

/// One worker that serves one variant of one model.
struct Route {
  std::string worker_id;
  std::string address;  ///< host:port or unix:path
  std::string model;
  std::string variant;
  std::string engine;   ///< "cpu" | "sim"
  std::string weights_digest;
  std::string region;
  std::string pool;
  std::int32_t context_max = 0;    ///< tokens
  std::int32_t sequences_max = 0;
  bool draining = false;           ///< finishes what it has, takes nothing new
  std::string arm = {};            ///< deployment and revision; empty: started by hand

  bool operator==(const Route&) const = default;
};

/// One text for a worker at its address: the same worker elsewhere is another one.
std::string worker_key(const Route& route);

/// Where a model is served and at which price: its price is looked up for (region, pool).
struct ServingPool {
  std::string model;
  std::string region;
  std::string pool;
  std::int32_t context_max = 0;  ///< the least of its workers, so that any of them fits

  bool operator==(const ServingPool&) const = default;
};

/// A part of the requests of one pool, for the workers of one arm. A pool without shares is not divided.
struct TrafficShare {
  std::string model;
  std::string region;
  std::string pool;
  std::string arm;
  std::int64_t weight = 0;

  bool operator==(const TrafficShare&) const = default;
};

/// A whole picture from the scheduler.
struct RouteSnapshot {
  std::uint64_t term = 0;
  std::uint64_t version = 0;  ///< grows within a term
  std::vector<Route> routes;
  std::vector<std::string> models;  ///< on offer, also while no worker is ready
  /// Pools that may have no worker for a while and get one when somebody asks: requests wait there.
  std::vector<ServingPool> offers;
  std::vector<TrafficShare> shares = {};
};

/// The last good picture. Kept when the scheduler is silent (fail static); older pictures are refused.
class RouteTable {
 public:
  explicit RouteTable(std::string home_region) : home_region_(std::move(home_region)) {}

  struct Change {
    std::vector<Route> added;
    std::vector<Route> changed;         ///< same worker and address, other facts (draining)
    std::vector<std::string> removed;   ///< worker ids
  };
  /// What differs from the picture before. The same picture again is an empty change.
  /// Fails: aborted/stale_routes for an older term, or an older version of the same term.
  Result<Change> apply(RouteSnapshot snapshot);

  bool is_loaded() const { return loaded_; }
  std::uint64_t term() const { return snapshot_.term; }
  std::uint64_t version() const { return snapshot_.version; }
  const std::vector<Route>& routes() const { return snapshot_.routes; }
  const std::vector<TrafficShare>& shares() const { return snapshot_.shares; }
  /// Sorted.
  const std::vector<std::string>& models() const { return snapshot_.models; }
  bool offers(std::string_view model) const;

  /// Of the pools in `regions` (empty: in any): home region first, then the pool with most workers. A model whose
  /// workers there are all gone for the moment keeps the one it had last, so that its requests wait and are priced as
  /// before, and never leave the regions they must stay in.
  /// Fails: not_found/model_not_found (with near names), unavailable/model_not_ready,
  /// permission_denied/region_not_allowed, naming the regions that serve it and those that are allowed.
  Result<ServingPool> pool_for(std::string_view model, std::span<const std::string> regions = {}) const;
  /// Pools in `regions` (empty: any) beside `pool` that have workers of its model, and context for as long a prompt;
  /// the one with most workers first.
  std::vector<ServingPool> pools_beside(const ServingPool& pool, std::span<const std::string> regions) const;

 private:
  struct Candidate {
    ServingPool pool;
    std::int32_t workers = 0;  ///< that take new requests; 0: it had some once
  };
  /// More pools than this of one model, and those without workers are forgotten.
  static constexpr std::size_t kPoolsRememberedMax = 64;

  void refresh_pools();
  /// nullptr: no pool in the regions was ever seen.
  const Candidate* best_of(const std::vector<Candidate>& candidates, std::span<const std::string> regions) const;

  std::string home_region_;
  bool loaded_ = false;
  RouteSnapshot snapshot_;
  /// By model; they outlive their workers. The one that had workers last stands first.
  std::map<std::string, std::vector<Candidate>, std::less<>> pools_;
};

/// Up to three of `names` that look like `wanted`, nearest first (edit distance).
std::vector<std::string> near_names(std::string_view wanted, const std::vector<std::string>& names);

}  // namespace tidegate::gateway
