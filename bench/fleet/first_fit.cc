#include "bench/fleet/first_fit.h"

#include <algorithm>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "scheduler/core/place/packing.h"

namespace tidegate::bench {

using namespace scheduler::placement;

namespace {

struct Taken {
  const Option* option = nullptr;
  bool is_kept = false;
  std::int32_t domain = 0;
  std::vector<std::int32_t> nodes;
};

class Fitting {
 public:
  explicit Fitting(const Model& model) : model_(model), packing_(model) {
    for (const Quota& quota : model.problem().quotas) quota_left_.push_back(quota.gpus_max);
    taken_.resize(model.needs().size());
    for (const Old& old : model.olds()) {
      const Option& option = model.needs()[at(old.need)].options[at(old.option)];
      if (!allows(option)) continue;
      packing_.take_these(option, old.nodes);
      take(old.need, {&option, true, model.domain_of(old.nodes[0]), old.nodes});
    }
  }

  FirstFit run() {
    std::vector<std::pair<double, std::int32_t>> order;
    for (std::int32_t d = 0; d < static_cast<std::int32_t>(taken_.size()); ++d) {
      const Need& need = model_.needs()[at(d)];
      double gpus = 0;
      for (const Option& option : need.options) {
        gpus = std::max(gpus, static_cast<double>(option.gpus) * static_cast<double>(need.target) / static_cast<double>(option.throughput));
      }
      order.emplace_back(-gpus, d);
    }
    std::sort(order.begin(), order.end());
    for (const auto& [gpus, need] : order) fill(need);
    return out_;
  }

 private:
  bool allows(const Option& option) const {
    return std::all_of(option.quotas.begin(), option.quotas.end(), [&](std::int32_t quota) { return quota_left_[at(quota)] >= option.gpus; });
  }

  void take(std::int32_t need, Taken taken) {
    for (const std::int32_t quota : taken.option->quotas) quota_left_[at(quota)] -= taken.option->gpus;
    taken_[at(need)].push_back(std::move(taken));
  }

  std::int64_t counted(const Need& need, const std::vector<Taken>& replicas) const {
    std::int64_t sum = 0;
    std::int64_t largest = 0;
    for (const Taken& each : replicas) {
      sum += each.option->throughput;
      largest = std::max(largest, each.option->throughput);
    }
    return need.loses_one ? sum - largest : sum;
  }

  void fill(std::int32_t index) {
    const Need& need = model_.needs()[at(index)];
    auto& replicas = taken_[at(index)];
    std::vector<const Option*> cheapest_first;
    for (const Option& option : need.options) cheapest_first.push_back(&option);
    std::stable_sort(cheapest_first.begin(), cheapest_first.end(), [](const Option* a, const Option* b) {
      return static_cast<__int128>(a->run + a->start) * b->throughput < static_cast<__int128>(b->run + b->start) * a->throughput;
    });
    std::set<std::int32_t> domains;
    for (const Taken& each : replicas) domains.insert(each.domain);
    std::vector<std::int32_t> nodes;
    for (const bool only_new_domains : {true, false}) {
      for (const Option* option : cheapest_first) {
        for (;;) {
          const bool is_spread = static_cast<std::int32_t>(domains.size()) >= need.domains_min;
          if (only_new_domains && is_spread) break;
          if (!only_new_domains && static_cast<std::int64_t>(replicas.size()) >= need.count_min && counted(need, replicas) >= need.target) break;
          const std::vector<std::int32_t> used(domains.begin(), domains.end());
          if (!allows(*option) || !packing_.take(*option, used, only_new_domains, nodes)) break;
          domains.insert(model_.domain_of(nodes[0]));
          take(index, {option, false, model_.domain_of(nodes[0]), nodes});
        }
      }
    }
    count(need, replicas, static_cast<std::int32_t>(domains.size()));
  }

  void count(const Need& need, std::vector<Taken>& replicas, std::int32_t domains) {
    out_.cost += need.drain_all;
    if (static_cast<std::int64_t>(replicas.size()) < need.count_min || domains < need.domains_min) {
      for (const Taken& each : replicas) {
        packing_.give_back(*each.option, each.nodes);
        for (const std::int32_t quota : each.option->quotas) quota_left_[at(quota)] += each.option->gpus;
      }
      replicas.clear();
      out_.cost += need.refusal;
      ++out_.refused;
      return;
    }
    for (const Taken& each : replicas) {
      out_.cost += each.option->run + (each.is_kept ? -each.option->drain : each.option->start);
      out_.gpus_used += each.option->gpus;
    }
    const std::int64_t missing = need.target - counted(need, replicas);
    if (missing > 0) out_.cost += unserved_cost(missing, need.unserved_per_unit_hour, model_.problem().horizon_s);
    ++(missing > 0 ? out_.partly : out_.served);
  }

  const Model& model_;
  Packing packing_;
  std::vector<std::int64_t> quota_left_;
  std::vector<std::vector<Taken>> taken_;
  FirstFit out_;
};

}  // namespace

FirstFit first_fit_decreasing(const Model& model) { return Fitting(model).run(); }

}  // namespace tidegate::bench
