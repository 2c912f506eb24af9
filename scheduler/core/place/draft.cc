#include "scheduler/core/place/draft.h"

#include <algorithm>
#include <functional>
#include <span>

namespace tidegate::scheduler::placement {

namespace {

constexpr std::int64_t kStepsAReplica = 48;
constexpr std::int64_t kStepsLeast = 48;
constexpr std::int64_t kStepsMost = 768;
constexpr int kRounds = 3;
constexpr std::int64_t kReplicasWhole = 24;  // missing: chosen exactly; more: by ratio
constexpr double kRoundUp = 0.1;             // of a part of a replica

}  // namespace

Draft::Draft(const Model& model, Prices prices) : model_(model), prices_(std::move(prices)), packing_(model) {
  states_.resize(model.needs().size());
  residents_.resize(at(model.node_count()));
  is_old_used_.assign(model.olds().size(), 0);
  for (const Quota& quota : model.problem().quotas) quota_left_.push_back(quota.gpus_max);
  noise_.assign(at(model.pool_count()), 1.0);
  for (std::size_t d = 0; d < states_.size(); ++d) {
    states_[d].cost = cost_of(model.needs()[d], {});
    cost_ += states_[d].cost;
  }
}

std::int64_t Draft::counted(const Need& need, const std::vector<Placed>& replicas) const {
  std::int64_t sum = 0;
  std::int64_t largest = 0;
  for (const Placed& placed : replicas) {
    const std::int64_t throughput = need.options[at(placed.option)].throughput;
    sum += throughput;
    largest = std::max(largest, throughput);
  }
  return need.loses_one ? sum - largest : sum;
}

Micros Draft::cost_of(const Need& need, const std::vector<Placed>& replicas) const {
  Micros cost = need.drain_all;
  for (const Placed& placed : replicas) {
    const Option& option = need.options[at(placed.option)];
    cost += option.run + (placed.old >= 0 ? -option.drain : option.start);
  }
  const std::int64_t missing = need.target - counted(need, replicas);
  return missing > 0 ? cost + unserved_cost(missing, need.unserved_per_unit_hour, model_.problem().horizon_s) : cost;
}

std::int64_t Draft::throughput(std::int32_t need) const {
  const Need& of = model_.needs()[at(need)];
  return std::min(of.target, counted(of, states_[at(need)].replicas));
}

bool Draft::is_legal(std::int32_t need) {
  const Need& of = model_.needs()[at(need)];
  const auto& replicas = states_[at(need)].replicas;
  return static_cast<std::int64_t>(replicas.size()) >= of.count_min && domains(replicas, of.domains_min) >= of.domains_min;
}

Micros Draft::scarcity(const Option& option) const {
  Micros per_gpu = prices_.pools[at(option.pool)];
  for (const std::int32_t quota : option.quotas) per_gpu += prices_.quotas[at(quota)];
  return per_gpu * option.gpus;
}

double Draft::price_a_token(const Option& option, bool is_kept) const {
  const Micros cost = option.run + scarcity(option) + (is_kept ? -option.drain : option.start);
  return static_cast<double>(cost) * noise_[at(option.pool)] / static_cast<double>(option.throughput);
}

bool Draft::allows(const Option& option) const {
  return std::all_of(option.quotas.begin(), option.quotas.end(), [&](std::int32_t quota) { return quota_left_[at(quota)] >= option.gpus; });
}

/// The nodes are taken already. Costs are the caller's.
void Draft::add(const Need& need, NeedState& state, Placed placed) {
  const Option& option = need.options[at(placed.option)];
  for (const std::int32_t quota : option.quotas) quota_left_[at(quota)] -= option.gpus;
  if (placed.old >= 0) is_old_used_[at(placed.old)] = 1;
  for (const std::int32_t node : placed.nodes.list()) residents_[at(node)].push_back(need.index);
  state.replicas.push_back(std::move(placed));
}

void Draft::take_away(const Need& need, NeedState& state, std::size_t index) {
  const Placed& placed = state.replicas[index];
  const Option& option = need.options[at(placed.option)];
  packing_.give_back(option, placed.nodes);
  for (const std::int32_t quota : option.quotas) quota_left_[at(quota)] += option.gpus;
  if (placed.old >= 0) is_old_used_[at(placed.old)] = 0;
  for (const std::int32_t node : placed.nodes.list()) {
    auto& residents = residents_[at(node)];
    *std::find(residents.begin(), residents.end(), need.index) = residents.back();
    residents.pop_back();
  }
  if (index + 1 != state.replicas.size()) state.replicas[index] = std::move(state.replicas.back());
  state.replicas.pop_back();
}

void Draft::settle(std::int32_t need) {
  NeedState& state = states_[at(need)];
  cost_ -= state.cost;
  state.cost = cost_of(model_.needs()[at(need)], state.replicas);
  cost_ += state.cost;
}

void Draft::remove(std::int32_t need, std::size_t replica) {
  take_away(model_.needs()[at(need)], states_[at(need)], replica);
  settle(need);
}

void Draft::clear(std::int32_t need) {
  NeedState& state = states_[at(need)];
  while (!state.replicas.empty()) take_away(model_.needs()[at(need)], state, state.replicas.size() - 1);
  settle(need);
}

void Draft::restore(std::int32_t need, const NeedState& to) {
  const Need& of = model_.needs()[at(need)];
  for (const Placed& placed : to.replicas) {
    packing_.take_these(of.options[at(placed.option)], placed.nodes);
    add(of, states_[at(need)], placed);
  }
  settle(need);
}

bool Draft::insert(std::int32_t need) {
  const bool is_placed = insert(model_.needs()[at(need)], states_[at(need)]);
  settle(need);
  return is_placed;
}

void Draft::keep_current() {
  for (std::size_t i = 0; i < model_.olds().size(); ++i) {
    const Old& old = model_.olds()[i];
    const Need& need = model_.needs()[at(old.need)];
    const Option& option = need.options[at(old.option)];
    if (!allows(option) || !packing_.can_take(option, old.nodes)) continue;
    packing_.take_these(option, old.nodes);
    add(need, states_[at(old.need)], {old.option, static_cast<std::int32_t>(i), model_.domain_of(old.nodes[0]), old.nodes});
  }
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(states_.size()); ++d) {
    if (states_[at(d)].replicas.empty()) continue;
    trim(model_.needs()[at(d)], states_[at(d)]);
    settle(d);
  }
}

void Draft::take_whole(const std::vector<std::vector<double>>& choice) {
  // Whole nodes first, whoever they are for: what is small finds room between.
  std::vector<std::int32_t> sizes;
  for (const Need& need : model_.needs()) {
    for (const Option& option : need.options) sizes.push_back(option.gpus);
  }
  std::sort(sizes.begin(), sizes.end(), std::greater<>());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  for (const std::int32_t size : sizes) {
    for (std::size_t d = 0; d < states_.size(); ++d) take_size(model_.needs()[d], states_[d], size, choice[d]);
  }
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(states_.size()); ++d) {
    if (states_[at(d)].replicas.empty()) continue;
    trim(model_.needs()[at(d)], states_[at(d)]);
    settle(d);
  }
}

void Draft::take_size(const Need& need, NeedState& state, std::int32_t gpus, const std::vector<double>& choice) {
  items_.clear();
  sources_.clear();
  counts_.clear();
  for (std::size_t i = 0; i < need.options.size(); ++i) {
    if (need.options[i].gpus != gpus) continue;
    const auto whole = static_cast<std::int64_t>(choice[i] + kRoundUp);
    if (whole == 0) continue;
    const auto olds = static_cast<std::int64_t>(need.options[i].olds.size());
    for (const bool is_kept : {true, false}) {
      items_.push_back({need.options[i].throughput, 0, whole});
      sources_.push_back({static_cast<std::int32_t>(i), is_kept});
      counts_.push_back(is_kept ? std::min(olds, whole) : std::max<std::int64_t>(0, whole - olds));
    }
  }
  if (!items_.empty()) realise(need, state);
}

std::vector<std::int32_t> Draft::hold_refused() {
  std::vector<std::int32_t> held;
  for (std::size_t i = 0; i < model_.olds().size(); ++i) {
    const Old& old = model_.olds()[i];
    if (!states_[at(old.need)].replicas.empty()) continue;
    const Option& option = model_.needs()[at(old.need)].options[at(old.option)];
    if (!allows(option) || !packing_.can_take(option, old.nodes)) continue;
    packing_.take_these(option, old.nodes);
    for (const std::int32_t quota : option.quotas) quota_left_[at(quota)] -= option.gpus;
    held.push_back(static_cast<std::int32_t>(i));
  }
  return held;
}

Draft::Estimate Draft::estimate(std::int32_t index, std::int32_t closed_pool) {
  const Need& need = model_.needs()[at(index)];
  Estimate out;
  out.cost = std::min(plan(need, states_[at(index)], closed_pool), need.refusal);
  std::int64_t most = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    const Option& option = need.options[at(sources_[i].option)];
    if (counts_[i] * option.gpus <= most) continue;
    most = counts_[i] * option.gpus;
    out.pool = option.pool;
  }
  return out;
}

CoverAsk Draft::ask_of(const Need& need, const NeedState& state) const {
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
std::int64_t Draft::plan_items(const Need& need, const NeedState& state, std::int32_t closed_pool) {
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
      const Micros scarce = scarcity(option);
      if (stays > 0) {
        items_.push_back({throughput, dear(option.run - option.drain + scarce, option.pool), stays});
        sources_.push_back({static_cast<std::int32_t>(next), true});
        wanted -= stays;
      }
      ranked_.emplace_back(dear(option.run + option.start + scarce, option.pool), static_cast<std::int32_t>(next));
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

Micros Draft::plan(const Need& need, const NeedState& state, std::int32_t closed_pool) {
  const CoverAsk ask = ask_of(need, state);
  const std::int64_t likely = plan_items(need, state, closed_pool);
  counts_.clear();
  if (items_.empty() && ask.have_count < ask.count_min) return Cover::kNone;
  const std::int64_t steps = std::clamp(std::min(likely, kStepsMost) * kStepsAReplica, kStepsLeast, kStepsMost);
  return cover_.choose(items_, ask, steps, counts_);
}

std::int64_t Draft::domains(const std::vector<Placed>& replicas, std::int64_t enough) {
  used_domains_.clear();
  for (const Placed& placed : replicas) {
    if (static_cast<std::int64_t>(used_domains_.size()) >= enough) break;
    if (std::find(used_domains_.begin(), used_domains_.end(), placed.domain) == used_domains_.end()) used_domains_.push_back(placed.domain);
  }
  return static_cast<std::int64_t>(used_domains_.size());
}

bool Draft::realise(const Need& need, NeedState& state) {
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

void Draft::spread(const Need& need, NeedState& state) {
  if (need.domains_min <= 1) return;
  while (domains(state.replicas, need.domains_min) < need.domains_min) {
    ranked_.clear();
    for (std::size_t i = 0; i < need.options.size(); ++i) {
      const Option& option = need.options[i];
      if (allows(option)) ranked_.emplace_back(option.run + option.start + scarcity(option), static_cast<std::int32_t>(i));
    }
    std::sort(ranked_.begin(), ranked_.end());
    const auto found = std::find_if(ranked_.begin(), ranked_.end(), [&](const auto& each) {
      return packing_.take(need.options[at(each.second)], used_domains_, true, nodes_);
    });
    if (found == ranked_.end()) return;
    add(need, state, {found->second, -1, model_.domain_of(nodes_[0]), nodes_});
  }
}

void Draft::trim(const Need& need, NeedState& state) {
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
    take_away(need, state, best);
  }
}

bool Draft::may_leave(const Need& need, const NeedState& state, std::size_t index) {
  if (need.domains_min <= 1) return true;
  const std::int32_t domain = state.replicas[index].domain;
  for (std::size_t i = 0; i < state.replicas.size(); ++i) {
    if (i != index && state.replicas[i].domain == domain) return true;
  }
  return domains(state.replicas, need.domains_min + 1) > need.domains_min;
}

/// A demand for hundreds of replicas takes the cheapest for their throughput until only some are missing: the choice
/// between whole replicas matters at the end only.
void Draft::fill_most(const Need& need, NeedState& state) {
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

bool Draft::insert(const Need& need, NeedState& state) {
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
      while (!state.replicas.empty()) take_away(need, state, state.replicas.size() - 1);
    }
  }
  return !state.replicas.empty();
}

std::vector<std::int64_t> Draft::probe(const Need& need, std::int64_t& throughput) {
  std::fill(noise_.begin(), noise_.end(), 1.0);
  NeedState state;
  insert(need, state);
  throughput = std::min(need.target, std::max<std::int64_t>(0, counted(need, state.replicas)));
  std::vector<std::int64_t> counts;
  if (!state.replicas.empty()) counts.assign(need.options.size(), 0);
  while (!state.replicas.empty()) {
    ++counts[at(state.replicas.back().option)];
    take_away(need, state, state.replicas.size() - 1);
  }
  return counts;
}

}  // namespace tidegate::scheduler::placement
