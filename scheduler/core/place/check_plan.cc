#include "scheduler/core/place/check_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace tidegate::scheduler::placement {

namespace {

class PlanCheck {
 public:
  PlanCheck(const Problem& problem, const Plan& plan) : problem_(problem), plan_(plan) {}

  std::vector<Violation> run() {
    index();
    for (const Assignment& each : plan_.assignments) check_assignment(each);
    check_quotas();
    for (const Demand& demand : problem_.demands) check_demand(demand);
    check_money();
    return std::move(violations_);
  }

 private:
  struct Served {
    std::int64_t sum = 0;
    std::int64_t largest = 0;
    std::int32_t replicas = 0;
    std::int32_t held = 0;
    std::int32_t started = 0;
    std::set<std::string_view> domains;
    Micros cost = 0;
  };
  using NodeKey = std::pair<std::string_view, std::string_view>;
  using RunningKey = std::tuple<std::string_view, std::string_view, std::string_view, std::vector<std::string_view>>;

  static RunningKey key_of(const Running& running) {
    std::vector<std::string_view> nodes(running.nodes.begin(), running.nodes.end());
    std::sort(nodes.begin(), nodes.end());
    return {running.demand, running.pool, running.layout, std::move(nodes)};
  }

  template <typename... Args>
  void complain(Rule rule, fmt::format_string<Args...> text, Args&&... args) {
    violations_.push_back({rule, fmt::format(text, std::forward<Args>(args)...)});
  }

  void index() {
    for (const Pool& pool : problem_.pools) {
      pools_.emplace(pool.name, &pool);
      for (const Node& node : pool.nodes) {
        nodes_.emplace(NodeKey(pool.name, node.name), &node);
        free_.emplace(NodeKey(pool.name, node.name), node.gpus_free);
      }
    }
    for (const Demand& demand : problem_.demands) demands_.emplace(demand.name, &demand);
    for (const DemandPlan& each : plan_.demands) outcomes_.emplace(each.demand, &each);
    for (const Running& running : problem_.current) {
      const Micros drain = drain_of(running);
      if (drain < 0) continue;
      ++current_[key_of(running)];
      drains_ += drain;
      served_[running.demand].cost += drain;
    }
  }

  const Layout* layout_of(const Running& running) const {
    const auto demand = demands_.find(running.demand);
    const auto pool = pools_.find(running.pool);
    if (demand == demands_.end() || pool == pools_.end()) return nullptr;
    for (const Layout& layout : problem_.layouts) {
      const bool is_it = layout.variant == demand->second->variant && layout.name == running.layout && layout.kind == pool->second->kind &&
                         (layout.node_gpus == 0 || layout.node_gpus == pool->second->gpus_per_node) &&
                         layout.nodes == static_cast<std::int32_t>(running.nodes.size()) &&
                         layout.gpus / layout.nodes <= pool->second->gpus_per_node;
      if (is_it) return &layout;
    }
    return nullptr;
  }

  bool is_allowed(const Demand& demand, const Pool& pool) const {
    const bool is_its_region = demand.regions.empty() || std::count(demand.regions.begin(), demand.regions.end(), pool.region) > 0;
    const bool is_its_pool = demand.is_dedicated ? pool.tenant == demand.tenant : pool.tenant.empty() || pool.tenant == demand.tenant;
    return is_its_region && is_its_pool;
  }

  /// What it costs to stop, or -1 when that is not priced: lost, nobody's, or not allowed where it is.
  Micros drain_of(const Running& running) const {
    const Layout* layout = layout_of(running);
    if (layout == nullptr) return -1;
    const Pool& pool = *pools_.at(running.pool);
    if (!is_allowed(*demands_.at(running.demand), pool)) return -1;
    std::set<std::string_view> domains;
    for (const std::string& name : running.nodes) {
      const auto node = nodes_.find(NodeKey(running.pool, name));
      if (node == nodes_.end() || node->second->gpus_free < layout->gpus / layout->nodes) return -1;
      domains.insert(node->second->domain);
    }
    return domains.size() == 1 ? gpu_cost(layout->gpus, pool.price_per_gpu_hour, problem_.drain_s) : -1;
  }

  void check_assignment(const Assignment& each) {
    const Running& replica = each.replica;
    const auto demand = demands_.find(replica.demand);
    const auto pool = pools_.find(replica.pool);
    if (demand == demands_.end()) return complain(Rule::kNames, "no demand '{}'", replica.demand);
    if (pool == pools_.end()) return complain(Rule::kNames, "no pool '{}'", replica.pool);
    const Layout* layout = layout_of(replica);
    if (layout == nullptr) {
      return complain(Rule::kLayout, "'{}' has no layout '{}' of {} nodes for pool '{}'", demand->second->variant, replica.layout, replica.nodes.size(),
                      replica.pool);
    }
    Served& served = served_[demand->second->name];
    std::set<std::string_view> domains;
    std::set<std::string_view> names;
    for (const std::string& name : replica.nodes) {
      const auto free = free_.find(NodeKey(replica.pool, name));
      if (free == free_.end()) {
        complain(Rule::kNames, "pool '{}' has no node '{}'", replica.pool, name);
        continue;
      }
      free->second -= layout->gpus / layout->nodes;
      if (free->second < 0) complain(Rule::kCapacity, "node '{}' of '{}' is {} GPUs over", name, replica.pool, -free->second);
      domains.insert(nodes_.at(NodeKey(replica.pool, name))->domain);
      names.insert(name);
    }
    if (domains.size() > 1 || names.size() != replica.nodes.size()) {
      complain(Rule::kOneDomain, "a replica of '{}' is on {} nodes in {} domains", replica.demand, names.size(), domains.size());
    }
    check_rights(*demand->second, *pool->second);
    gpus_[{demand->second->tenant, pool->second->kind}] += layout->gpus;
    count(each, *layout, *pool->second, domains, served);
  }

  void count(const Assignment& each, const Layout& layout, const Pool& pool, const std::set<std::string_view>& domains, Served& served) {
    const Micros run = gpu_cost(layout.gpus, pool.price_per_gpu_hour, problem_.horizon_s);
    run_ += run;
    served.cost += run;
    ++served.replicas;
    if (each.is_kept) {
      const auto was = current_.find(key_of(each.replica));
      if (was == current_.end() || was->second == 0) {
        complain(Rule::kKept, "a replica of '{}' is kept in '{}', where none runs", each.replica.demand, each.replica.pool);
      } else {
        --was->second;
        const Micros drain = gpu_cost(layout.gpus, pool.price_per_gpu_hour, problem_.drain_s);
        drains_ -= drain;
        served.cost -= drain;
      }
    } else {
      const std::int64_t seconds = (layout.load_bytes + pool.load_bytes_per_s - 1) / pool.load_bytes_per_s + layout.warm_up_s;
      const Micros start = gpu_cost(layout.gpus, pool.price_per_gpu_hour, seconds);
      starts_ += start;
      served.cost += start;
      ++served.started;
    }
    if (each.is_held) {
      ++served.held;
      return;
    }
    served.sum += std::min(layout.throughput, demands_.at(each.replica.demand)->throughput);
    served.largest = std::max(served.largest, std::min(layout.throughput, demands_.at(each.replica.demand)->throughput));
    served.domains.insert(domains.begin(), domains.end());
  }

  void check_rights(const Demand& demand, const Pool& pool) {
    if (!demand.regions.empty() && std::count(demand.regions.begin(), demand.regions.end(), pool.region) == 0) {
      complain(Rule::kResidency, "'{}' must stay in {}, not in {}", demand.name, fmt::join(demand.regions, ", "), pool.region);
    }
    if (demand.is_dedicated && pool.tenant != demand.tenant) complain(Rule::kDedicated, "'{}' is dedicated, '{}' is not its pool", demand.name, pool.name);
    if (!pool.tenant.empty() && pool.tenant != demand.tenant) {
      complain(Rule::kDedicated, "pool '{}' is for '{}', not for '{}'", pool.name, pool.tenant, demand.name);
    }
  }

  void check_quotas() {
    for (const Quota& quota : problem_.quotas) {
      std::int64_t used = 0;
      for (const auto& [of, gpus] : gpus_) {
        if (of.first == quota.tenant && (quota.kind.empty() || of.second == quota.kind)) used += gpus;
      }
      if (used > quota.gpus_max) complain(Rule::kQuota, "'{}' uses {} GPUs, its quota is {}", quota.tenant, used, quota.gpus_max);
    }
  }

  void check_demand(const Demand& demand) {
    const auto outcome = outcomes_.find(demand.name);
    if (outcome == outcomes_.end()) return complain(Rule::kNames, "nothing is said about demand '{}'", demand.name);
    const DemandPlan& said = *outcome->second;
    const Served& served = served_[demand.name];
    const std::int64_t counted = std::min(demand.throughput, served.sum - (demand.survives_replica_loss ? served.largest : 0));
    if (said.outcome == Outcome::kRefused) {
      if (served.started > 0 || served.held != served.replicas) complain(Rule::kOutcome, "'{}' is refused and has replicas", demand.name);
    } else {
      if (served.held > 0) complain(Rule::kOutcome, "'{}' is not refused and has held replicas", demand.name);
      if (served.replicas < demand.replicas_min) complain(Rule::kReplicas, "'{}' has {} replicas of {}", demand.name, served.replicas, demand.replicas_min);
      if (static_cast<std::int32_t>(served.domains.size()) < demand.domains_min) {
        complain(Rule::kSpread, "'{}' is in {} failure domains of {}", demand.name, served.domains.size(), demand.domains_min);
      }
      const bool is_full = counted >= demand.throughput;
      if (is_full != (said.outcome == Outcome::kServed)) {
        complain(Rule::kOutcome, "'{}' is {} with {} of {} tokens/s", demand.name, outcome_name(said.outcome), counted, demand.throughput);
      }
    }
    if (said.throughput != counted || said.replicas != served.replicas) {
      complain(Rule::kOutcome, "'{}' has {} tokens/s with {} replicas, not {} with {}", demand.name, counted, served.replicas, said.throughput, said.replicas);
    }
    const Micros penalty = unserved_cost(demand.throughput - counted, demand.unserved_per_unit_hour, problem_.horizon_s);
    penalty_ += penalty;
    if (said.cost != served.cost + penalty) complain(Rule::kMoney, "'{}' costs {}, not {}", demand.name, served.cost + penalty, said.cost);
  }

  void check_money() {
    const PlanCost& said = plan_.cost;
    if (said.gpus != run_) complain(Rule::kMoney, "GPUs cost {}, not {}", run_, said.gpus);
    if (said.starts != starts_) complain(Rule::kMoney, "starts cost {}, not {}", starts_, said.starts);
    if (said.drains != drains_) complain(Rule::kMoney, "drains cost {}, not {}", drains_, said.drains);
    if (said.penalty != penalty_) complain(Rule::kMoney, "the penalty is {}, not {}", penalty_, said.penalty);
    if (plan_.lower_bound > said.total()) complain(Rule::kMoney, "the bound {} is above the cost {}", plan_.lower_bound, said.total());
  }

  const Problem& problem_;
  const Plan& plan_;
  std::unordered_map<std::string_view, const Pool*> pools_;
  std::unordered_map<std::string_view, const Demand*> demands_;
  std::unordered_map<std::string_view, const DemandPlan*> outcomes_;
  std::map<NodeKey, const Node*> nodes_;
  std::map<NodeKey, std::int64_t> free_;
  std::map<RunningKey, std::int32_t> current_;
  std::map<std::string_view, Served> served_;
  std::map<std::pair<std::string_view, std::string_view>, std::int64_t> gpus_;  ///< by tenant and kind
  Micros run_ = 0;
  Micros starts_ = 0;
  Micros drains_ = 0;
  Micros penalty_ = 0;
  std::vector<Violation> violations_;
};

}  // namespace

std::string_view rule_name(Rule rule) {
  switch (rule) {
    case Rule::kNames: return "names";
    case Rule::kLayout: return "layout";
    case Rule::kCapacity: return "capacity";
    case Rule::kOneDomain: return "one_domain";
    case Rule::kResidency: return "residency";
    case Rule::kDedicated: return "dedicated";
    case Rule::kQuota: return "quota";
    case Rule::kReplicas: return "replicas";
    case Rule::kSpread: return "spread";
    case Rule::kKept: return "kept";
    case Rule::kOutcome: return "outcome";
    case Rule::kMoney: return "money";
  }
  return "?";
}

std::vector<Violation> check_plan(const Problem& problem, const Plan& plan) { return PlanCheck(problem, plan).run(); }

}  // namespace tidegate::scheduler::placement
