#include "tests/unit/scheduler/place/brute_force.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tidegate::scheduler::placement {

namespace {

struct Spot {
  std::size_t pool = 0;
  std::size_t node = 0;
  const Layout* layout = nullptr;
};

class BruteForce {
 public:
  BruteForce(const Problem& problem, std::size_t replicas_most) : problem_(problem), replicas_most_(replicas_most) {
    for (const Pool& pool : problem.pools) {
      free_.emplace_back();
      for (const Node& node : pool.nodes) free_.back().push_back(node.gpus_free);
    }
    for (const Quota& quota : problem.quotas) quota_.push_back(quota.gpus_max);
    for (const Demand& demand : problem.demands) spots_.push_back(spots_of(demand));
  }
  Micros run() {
    demand(0, 0);
    return best_;
  }

 private:
  std::vector<Spot> spots_of(const Demand& demand) const {
    std::vector<Spot> out;
    for (std::size_t p = 0; p < problem_.pools.size(); ++p) {
      const Pool& pool = problem_.pools[p];
      const bool in_region = demand.regions.empty() || std::count(demand.regions.begin(), demand.regions.end(), pool.region) > 0;
      const bool is_open = demand.is_dedicated ? pool.tenant == demand.tenant : pool.tenant.empty() || pool.tenant == demand.tenant;
      if (!in_region || !is_open) continue;
      for (const Layout& layout : problem_.layouts) {
        if (layout.variant != demand.variant || layout.kind != pool.kind) continue;
        if (layout.node_gpus != 0 && layout.node_gpus != pool.gpus_per_node) continue;
        for (std::size_t n = 0; n < pool.nodes.size(); ++n) out.push_back({p, n, &layout});
      }
    }
    return out;
  }

  void demand(std::size_t index, Micros cost) {
    if (cost >= best_) return;
    if (index == problem_.demands.size()) {
      best_ = cost;
      return;
    }
    const Demand& of = problem_.demands[index];
    demand(index + 1, cost + unserved_cost(of.throughput, of.unserved_per_unit_hour, problem_.horizon_s));
    std::vector<Spot> chosen;
    replicas(index, 0, cost, chosen);
  }

  void replicas(std::size_t index, std::size_t from, Micros cost, std::vector<Spot>& chosen) {
    if (cost >= best_) return;
    const Demand& of = problem_.demands[index];
    if (!chosen.empty()) finish(index, cost, chosen);
    if (chosen.size() == replicas_most_) return;
    for (std::size_t s = from; s < spots_[index].size(); ++s) {
      const Spot spot = spots_[index][s];
      const Pool& pool = problem_.pools[spot.pool];
      if (free_[spot.pool][spot.node] < spot.layout->gpus || !quota(of, pool, spot.layout->gpus)) continue;
      free_[spot.pool][spot.node] -= spot.layout->gpus;
      chosen.push_back(spot);
      const Micros more = gpu_cost(spot.layout->gpus, pool.price_per_gpu_hour, problem_.horizon_s) +
                          gpu_cost(spot.layout->gpus, pool.price_per_gpu_hour, startup_s(*spot.layout, pool));
      replicas(index, s, cost + more, chosen);
      chosen.pop_back();
      free_[spot.pool][spot.node] += spot.layout->gpus;
      quota(of, pool, -spot.layout->gpus);
    }
  }

  void finish(std::size_t index, Micros cost, const std::vector<Spot>& chosen) {
    const Demand& of = problem_.demands[index];
    std::set<std::string> domains;
    std::int64_t sum = 0;
    std::int64_t largest = 0;
    for (const Spot& spot : chosen) {
      domains.insert(problem_.pools[spot.pool].nodes[spot.node].domain);
      sum += std::min(spot.layout->throughput, of.throughput);
      largest = std::max(largest, std::min(spot.layout->throughput, of.throughput));
    }
    if (static_cast<std::int32_t>(chosen.size()) < of.replicas_min || static_cast<std::int32_t>(domains.size()) < of.domains_min) return;
    const std::int64_t missing = of.throughput - (of.survives_replica_loss ? sum - largest : sum);
    demand(index + 1, cost + (missing > 0 ? unserved_cost(missing, of.unserved_per_unit_hour, problem_.horizon_s) : 0));
  }

  bool quota(const Demand& of, const Pool& pool, std::int64_t gpus) {
    for (std::size_t q = 0; q < quota_.size(); ++q) {
      if (counts(problem_.quotas[q], of, pool) && quota_[q] < gpus) return false;
    }
    for (std::size_t q = 0; q < quota_.size(); ++q) {
      if (counts(problem_.quotas[q], of, pool)) quota_[q] -= gpus;
    }
    return true;
  }
  static bool counts(const Quota& quota, const Demand& of, const Pool& pool) {
    return quota.tenant == of.tenant && (quota.kind.empty() || quota.kind == pool.kind);
  }

  const Problem& problem_;
  std::size_t replicas_most_;
  std::vector<std::vector<std::int32_t>> free_;
  std::vector<std::int64_t> quota_;
  std::vector<std::vector<Spot>> spots_;
  Micros best_ = std::numeric_limits<Micros>::max();
};

}  // namespace

Micros best_cost(const Problem& problem, std::size_t replicas_most) { return BruteForce(problem, replicas_most).run(); }

}  // namespace tidegate::scheduler::placement
