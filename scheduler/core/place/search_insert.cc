// How one demand gets its replicas: a choice by dynamic programming under the prices of scarcity, then nodes, then what
// the choice did not see (failure domains, rounding) is put right.

#include <algorithm>
#include <cmath>

#include "scheduler/core/place/search.h"

namespace tidegate::scheduler::placement {

namespace {

constexpr std::int64_t kStepsAReplica = 16;
constexpr std::int64_t kStepsLeast = 48;
constexpr std::int64_t kStepsMost = 384;
constexpr int kRounds = 3;
constexpr std::int64_t kReplicasWhole = 24;  // missing: chosen exactly; more: by ratio

std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

}  // namespace

Micros Search::priced(const Option& option) const {
  Micros per_gpu = prices_.pools[at(option.pool)];
  for (const std::int32_t quota : option.quotas) per_gpu += prices_.quotas[at(quota)];
  return per_gpu * option.gpus;
}

bool Search::allows(const Option& option) const {
  return std::all_of(option.quotas.begin(), option.quotas.end(), [&](std::int32_t quota) { return quota_left_[at(quota)] >= option.gpus; });
}

CoverAsk Search::ask_of(const Need& need, const NeedState& state) const {
  CoverAsk ask;
  ask.target = need.target;
  ask.count_min = need.count_min;
  ask.loses_one = need.loses_one;
  ask.unserved_per_unit_hour = need.unserved_per_unit_hour;
  ask.horizon_s = model_.problem().horizon_s;
  for (const Placed& placed : state.replicas) {
    const std::int64_t throughput = need.options[at(placed.option)].throughput;
    ask.have_throughput += throughput;
    ask.have_largest = std::max(ask.have_largest, throughput);
    ++ask.have_count;
  }
  return ask;
}

/// What may be bought now into items_; returns about how many replicas of the best of it are missing.
std::int64_t Search::plan_items(const Need& need, const NeedState& state, std::int32_t closed_pool) {
  items_.clear();
  sources_.clear();
  std::int64_t missing = need.target;
  for (const Placed& placed : state.replicas) missing -= need.options[at(placed.option)].throughput;
  missing = std::max<std::int64_t>(missing, 1);
  const auto dear = [&](Micros cost, std::int32_t pool) {
    return static_cast<Micros>(static_cast<double>(cost) * noise_[at(pool)]);
  };
  double best_ratio = 0;
  std::int64_t likely = 1;
  for (std::size_t first = 0, next = 0; first < need.options.size(); first = next) {
    const std::int64_t throughput = need.options[first].throughput;
    ranked_.clear();
    // With one to lose, at most the largest's throughput more; that is at most what is asked.
    const std::int64_t more = need.loses_one ? std::min(need.target, need.options.back().throughput) : 0;
    std::int64_t wanted = need.count_min + (missing + more + throughput - 1) / throughput;
    for (next = first; next < need.options.size() && need.options[next].throughput == throughput; ++next) {
      const Option& option = need.options[next];
      if (option.pool == closed_pool || !allows(option)) continue;
      std::int64_t stays = 0;
      for (const std::int32_t old : option.olds) {
        stays += is_old_used_[at(old)] == 0 && packing_.can_take(option, model_.olds()[at(old)].nodes) ? 1 : 0;
      }
      const Micros scarcity = priced(option);
      if (stays > 0) {
        items_.push_back({throughput, dear(option.run - option.drain + scarcity, option.pool), stays});
        sources_.push_back({static_cast<std::int32_t>(next), true});
        wanted -= stays;
      }
      ranked_.emplace_back(dear(option.run + option.start + scarcity, option.pool), static_cast<std::int32_t>(next));
    }
    std::sort(ranked_.begin(), ranked_.end());
    for (const auto& [cost, index] : ranked_) {
      if (wanted <= 0) break;
      const Option& option = need.options[at(index)];
      std::int64_t enough = wanted;
      for (const std::int32_t quota : option.quotas) enough = std::min(enough, quota_left_[at(quota)] / option.gpus);
      const std::int64_t fits = packing_.room(option, enough);
      if (fits == 0) continue;
      wanted -= fits;
      items_.push_back({throughput, cost, fits});
      sources_.push_back({index, false});
      const double ratio = static_cast<double>(throughput) / static_cast<double>(cost + 1);
      if (ratio <= best_ratio) continue;
      best_ratio = ratio;
      likely = (missing + throughput - 1) / throughput;
    }
  }
  return likely;
}

Micros Search::plan(const Need& need, const NeedState& state, std::int32_t closed_pool) {
  const CoverAsk ask = ask_of(need, state);
  const std::int64_t likely = plan_items(need, state, closed_pool);
  counts_.clear();
  if (items_.empty() && ask.have_count < ask.count_min) return Cover::kNone;
  const std::int64_t steps = std::clamp(std::min(likely, kStepsMost) * kStepsAReplica, kStepsLeast, kStepsMost);
  return cover_.choose(items_, ask, steps, counts_);
}

std::int64_t Search::domains(const std::vector<Placed>& replicas, std::int64_t enough) {
  used_domains_.clear();
  for (const Placed& placed : replicas) {
    if (static_cast<std::int64_t>(used_domains_.size()) >= enough) break;
    if (std::find(used_domains_.begin(), used_domains_.end(), placed.domain) == used_domains_.end()) used_domains_.push_back(placed.domain);
  }
  return static_cast<std::int64_t>(used_domains_.size());
}

bool Search::realise(const Need& need, NeedState& state) {
  bool is_all = true;
  for (const bool kept : {true, false}) {
    // The largest first: they find the fewest places.
    for (std::size_t i = items_.size(); i-- > 0;) {
      if (counts_[i] == 0 || sources_[i].is_kept != kept) continue;
      const Option& option = need.options[at(sources_[i].option)];
      std::int64_t left = counts_[i];
      if (kept) {
        for (const std::int32_t old : option.olds) {
          if (left == 0) break;
          const Old& was = model_.olds()[at(old)];
          if (is_old_used_[at(old)] != 0 || !packing_.can_take(option, was.nodes) || !allows(option)) continue;
          packing_.take_these(option, was.nodes);
          add(need, state, {sources_[i].option, old, model_.domain_of(was.nodes[0]), was.nodes});
          --left;
        }
      }
      for (; !kept && left > 0 && allows(option); --left) {
        const bool wants_new = need.domains_min > 1 && domains(state.replicas, need.domains_min) < need.domains_min;
        if (!(wants_new && packing_.take(option, used_domains_, true, nodes_)) && !packing_.take(option, {}, false, nodes_)) break;
        add(need, state, {sources_[i].option, -1, model_.domain_of(nodes_[0]), nodes_});
      }
      is_all &= left == 0;
    }
  }
  return is_all;
}

void Search::spread(const Need& need, NeedState& state) {
  if (need.domains_min <= 1) return;
  while (domains(state.replicas, need.domains_min) < need.domains_min) {
    ranked_.clear();
    for (std::size_t i = 0; i < need.options.size(); ++i) {
      const Option& option = need.options[i];
      if (allows(option)) ranked_.emplace_back(option.run + option.start + priced(option), static_cast<std::int32_t>(i));
    }
    std::sort(ranked_.begin(), ranked_.end());
    const auto found = std::find_if(ranked_.begin(), ranked_.end(), [&](const auto& each) {
      return packing_.take(need.options[at(each.second)], used_domains_, true, nodes_);
    });
    if (found == ranked_.end()) return;
    add(need, state, {found->second, -1, model_.domain_of(nodes_[0]), nodes_});
  }
}

void Search::trim(const Need& need, NeedState& state) {
  while (static_cast<std::int64_t>(state.replicas.size()) > need.count_min) {
    std::int64_t sum = 0;
    std::int64_t largest = 0;
    std::int64_t second = 0;
    for (const Placed& placed : state.replicas) {
      const std::int64_t throughput = need.options[at(placed.option)].throughput;
      sum += throughput;
      second = std::max(second, std::min(largest, throughput));
      largest = std::max(largest, throughput);
    }
    const std::int64_t all = need.loses_one ? sum - largest : sum;
    if (all <= need.target) return;
    std::size_t best = state.replicas.size();
    Micros best_saving = 0;
    for (std::size_t i = 0; i < state.replicas.size(); ++i) {
      const Placed& placed = state.replicas[i];
      const Option& option = need.options[at(placed.option)];
      const Micros saving = placed.old >= 0 ? option.run - option.drain : option.run + option.start;
      const std::int64_t lost = !need.loses_one ? 0 : option.throughput == largest ? second : largest;
      if (saving <= best_saving || sum - option.throughput - lost < need.target || !may_leave(need, state, i)) continue;
      best = i;
      best_saving = saving;
    }
    if (best == state.replicas.size()) return;
    remove(need, state, best);
  }
}

bool Search::may_leave(const Need& need, const NeedState& state, std::size_t index) {
  if (need.domains_min <= 1) return true;
  const std::int32_t domain = state.replicas[index].domain;
  for (std::size_t i = 0; i < state.replicas.size(); ++i) {
    if (i != index && state.replicas[i].domain == domain) return true;
  }
  return domains(state.replicas, need.domains_min + 1) > need.domains_min;
}

/// A demand for hundreds of replicas takes the cheapest for their throughput until only some are missing: the choice
/// between whole replicas matters at the end only.
void Search::fill_most(const Need& need, NeedState& state) {
  const auto missing = [&] {
    std::int64_t sum = 0;
    for (const Placed& placed : state.replicas) sum += need.options[at(placed.option)].throughput;
    return need.target - sum;
  };
  std::int64_t left = missing();
  // Most often there is nothing to do here, and that must cost nothing.
  if (need.options.empty() || left <= need.options.front().throughput * kReplicasWhole) return;
  if (plan_items(need, state, -1) <= kReplicasWhole) return;
  by_ratio_.resize(items_.size());
  for (std::size_t i = 0; i < items_.size(); ++i) by_ratio_[i] = i;
  std::sort(by_ratio_.begin(), by_ratio_.end(), [&](std::size_t a, std::size_t b) {
    const double first = static_cast<double>(items_[a].cost) / static_cast<double>(items_[a].throughput);
    const double second = static_cast<double>(items_[b].cost) / static_cast<double>(items_[b].throughput);
    return first != second ? first < second : a < b;
  });
  counts_.assign(items_.size(), 0);
  const double penalty = static_cast<double>(need.unserved_per_unit_hour) * static_cast<double>(model_.problem().horizon_s) / 3600;
  for (const std::size_t i : by_ratio_) {
    if (static_cast<double>(items_[i].cost) > penalty * static_cast<double>(items_[i].throughput)) break;
    const std::int64_t count = std::min(items_[i].count_max, left / items_[i].throughput - kReplicasWhole / 2);
    if (count <= 0) continue;
    counts_[i] = count;
    left -= count * items_[i].throughput;
  }
  realise(need, state);
}

bool Search::insert(const Need& need, NeedState& state) {
  fill_most(need, state);
  for (int round = 0; round < kRounds; ++round) {
    const Micros value = plan(need, state, -1);
    if (value >= Cover::kNone || (state.replicas.empty() && value >= need.refusal)) break;
    if (realise(need, state)) break;
  }
  if (!state.replicas.empty()) {
    spread(need, state);
    trim(need, state);
    const bool is_legal = static_cast<std::int64_t>(state.replicas.size()) >= need.count_min &&
                          (need.domains_min <= 1 || domains(state.replicas, need.domains_min) >= need.domains_min);
    // Costlier than serving nothing: rounding and spread were dearer than the choice foresaw.
    if (!is_legal || cost_of(need, state.replicas) > need.refusal + need.drain_all) {
      while (!state.replicas.empty()) remove(need, state, state.replicas.size() - 1);
    }
  }
  state.cost = cost_of(need, state.replicas);
  return !state.replicas.empty();
}

std::vector<std::int64_t> Search::probe(const Need& need, std::int64_t& throughput) {
  std::fill(noise_.begin(), noise_.end(), 1.0);
  NeedState state;
  insert(need, state);
  throughput = std::min(need.target, std::max<std::int64_t>(0, counted(need, state.replicas)));
  std::vector<std::int64_t> counts;
  if (!state.replicas.empty()) counts.assign(need.options.size(), 0);
  while (!state.replicas.empty()) {
    ++counts[at(state.replicas.back().option)];
    remove(need, state, state.replicas.size() - 1);
  }
  return counts;
}

}  // namespace tidegate::scheduler::placement
