#include "scheduler/place_files/plan_json.h"

#include <utility>

#include "base/json/json.h"

namespace tidegate::scheduler::placement {

namespace {

json::array assignments_of(const Plan& plan) {
  json::array out;
  for (const Assignment& each : plan.assignments) {
    json::array nodes;
    for (const std::string& node : each.replica.nodes) nodes.emplace_back(node);
    json::object entry;
    entry["demand"] = each.replica.demand;
    entry["pool"] = each.replica.pool;
    entry["layout"] = each.replica.layout;
    entry["nodes"] = std::move(nodes);
    entry["is_kept"] = each.is_kept;
    entry["is_held"] = each.is_held;
    out.emplace_back(std::move(entry));
  }
  return out;
}

json::array demands_of(const Problem& problem, const Plan& plan) {
  json::array out;
  for (std::size_t i = 0; i < plan.demands.size(); ++i) {
    const DemandPlan& each = plan.demands[i];
    const std::string_view outcome = outcome_name(each.outcome);
    json::object entry;
    entry["demand"] = each.demand;
    entry["outcome"] = json::string(outcome.data(), outcome.size());
    entry["throughput"] = each.throughput;
    entry["throughput_asked"] = problem.demands[i].throughput;
    entry["replicas"] = each.replicas;
    entry["cost_micros"] = each.cost;
    entry["why"] = each.why;
    if (!each.nearest.empty()) entry["nearest"] = each.nearest;
    out.emplace_back(std::move(entry));
  }
  return out;
}

}  // namespace

std::string plan_json(const Problem& problem, const Plan& plan) {
  json::object cost;
  cost["gpus_micros"] = plan.cost.gpus;
  cost["starts_micros"] = plan.cost.starts;
  cost["drains_micros"] = plan.cost.drains;
  cost["penalty_micros"] = plan.cost.penalty;
  cost["total_micros"] = plan.cost.total();
  json::array pools;
  for (std::size_t p = 0; p < plan.pools.size(); ++p) {
    const PoolPrice& price = plan.pools[p];
    json::object entry;
    entry["pool"] = price.pool;
    entry["region"] = problem.pools[p].region;
    entry["gpus_free"] = price.gpus_free;
    entry["gpus_used"] = price.gpus_used;
    entry["price_micros_per_gpu_hour"] = problem.pools[p].price_per_gpu_hour;
    entry["scarcity_micros_per_gpu"] = price.scarcity_per_gpu;
    pools.emplace_back(std::move(entry));
  }
  json::object root;
  root["horizon_s"] = problem.horizon_s;
  root["cost"] = std::move(cost);
  root["lower_bound_micros"] = plan.lower_bound;
  root["gap_ppm"] = plan.gap_ppm();
  root["iterations"] = plan.iterations;
  root["moved"] = plan.moved;
  root["demands"] = demands_of(problem, plan);
  root["assignments"] = assignments_of(plan);
  root["pools"] = std::move(pools);
  return json::serialize(root);
}

}  // namespace tidegate::scheduler::placement
