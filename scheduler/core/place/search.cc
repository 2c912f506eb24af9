#include "scheduler/core/place/search.h"

#include <algorithm>
#include <cmath>

namespace tidegate::scheduler::placement {

namespace {

constexpr double kNoise = 0.15;             // of a pool's prices in a round
constexpr std::uint64_t kRuinedMost = 5;    // demands in a round
constexpr std::size_t kRuinedReplicasMost = 12;  // of one of them, when it has many
constexpr double kRoundUp = 0.1;            // of a part of a replica
constexpr double kHeatFirst = 0.005;         // of the mean cost of a demand
constexpr int kRegretsAnInsertion = 4;

std::size_t at(std::int32_t index) { return static_cast<std::size_t>(index); }

}  // namespace

Search::Search(const Model& model, Prices prices, std::vector<Micros> least, std::uint64_t seed)
    : model_(model), prices_(std::move(prices)), least_(std::move(least)), rng_(seed), packing_(model) {
  states_.resize(model.needs().size());
  is_changed_.assign(states_.size(), 0);
  is_old_used_.assign(model.olds().size(), 0);
  for (const Quota& quota : model.problem().quotas) quota_left_.push_back(quota.gpus_max);
  users_.resize(at(model.pool_count()));
  noise_.assign(users_.size(), 1.0);
  for (std::size_t d = 0; d < states_.size(); ++d) {
    states_[d].cost = cost_of(model.needs()[d], {});
    cost_ += states_[d].cost;
  }
  best_states_ = states_;
  best_cost_ = cost_;
}

std::int64_t Search::counted(const Need& need, const std::vector<Placed>& replicas) const {
  std::int64_t sum = 0;
  std::int64_t largest = 0;
  for (const Placed& placed : replicas) {
    const std::int64_t throughput = need.options[at(placed.option)].throughput;
    sum += throughput;
    largest = std::max(largest, throughput);
  }
  return need.loses_one ? sum - largest : sum;
}

Micros Search::cost_of(const Need& need, const std::vector<Placed>& replicas) const {
  Micros cost = need.drain_all;
  for (const Placed& placed : replicas) {
    const Option& option = need.options[at(placed.option)];
    cost += option.run + (placed.old >= 0 ? -option.drain : option.start);
  }
  const std::int64_t missing = need.target - counted(need, replicas);
  return missing > 0 ? cost + unserved_cost(missing, need.unserved_per_unit_hour, model_.problem().horizon_s) : cost;
}

std::int64_t Search::throughput(std::int32_t need) const {
  const Need& of = model_.needs()[at(need)];
  return std::min(of.target, counted(of, states_[at(need)].replicas));
}

std::vector<std::int32_t> Search::unserved() const {
  std::vector<std::int32_t> out;
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(states_.size()); ++d) {
    if (!is_served(d)) out.push_back(d);
  }
  return out;
}

/// The nodes are taken already. Costs are the caller's.
void Search::add(const Need& need, NeedState& state, Placed placed) {
  const Option& option = need.options[at(placed.option)];
  for (const std::int32_t quota : option.quotas) quota_left_[at(quota)] -= option.gpus;
  if (placed.old >= 0) is_old_used_[at(placed.old)] = 1;
  state.replicas.push_back(std::move(placed));
}

void Search::remove(const Need& need, NeedState& state, std::size_t index) {
  const Placed& placed = state.replicas[index];
  const Option& option = need.options[at(placed.option)];
  packing_.give_back(option, placed.nodes);
  for (const std::int32_t quota : option.quotas) quota_left_[at(quota)] += option.gpus;
  if (placed.old >= 0) is_old_used_[at(placed.old)] = 0;
  if (index + 1 != state.replicas.size()) state.replicas[index] = std::move(state.replicas.back());
  state.replicas.pop_back();
}

void Search::mark(std::int32_t need) {
  if (is_changed_[at(need)] != 0) return;
  is_changed_[at(need)] = 1;
  changed_.push_back(need);
}

bool Search::insert(std::int32_t need) {
  NeedState& state = states_[at(need)];
  mark(need);
  cost_ -= state.cost;
  const bool is_placed = insert(model_.needs()[at(need)], state);
  cost_ += state.cost;
  return is_placed;
}

void Search::clear(std::int32_t need) {
  NeedState& state = states_[at(need)];
  const Need& of = model_.needs()[at(need)];
  mark(need);
  while (!state.replicas.empty()) remove(of, state, state.replicas.size() - 1);
  cost_ -= state.cost;
  state.cost = cost_of(of, state.replicas);
  cost_ += state.cost;
}

void Search::restore(std::int32_t need, const NeedState& to) {
  NeedState& state = states_[at(need)];
  const Need& of = model_.needs()[at(need)];
  mark(need);
  for (const Placed& placed : to.replicas) {
    packing_.take_these(of.options[at(placed.option)], placed.nodes);
    add(of, state, placed);
  }
  cost_ += to.cost - state.cost;
  state.cost = to.cost;
}

void Search::remember_best() {
  for (const std::int32_t need : changed_) {
    best_states_[at(need)] = states_[at(need)];
    is_changed_[at(need)] = 0;
  }
  changed_.clear();
  best_cost_ = cost_;
}

void Search::return_to_best() {
  const std::vector<std::int32_t> all = changed_;
  for (const std::int32_t need : all) clear(need);
  for (const std::int32_t need : all) restore(need, best_states_[at(need)]);
  remember_best();
}

void Search::keep_current() {
  for (std::size_t i = 0; i < model_.olds().size(); ++i) {
    const Old& old = model_.olds()[i];
    const Need& need = model_.needs()[at(old.need)];
    const Option& option = need.options[at(old.option)];
    NeedState& state = states_[at(old.need)];
    if (!allows(option) || !packing_.can_take(option, old.nodes)) continue;
    packing_.take_these(option, old.nodes);
    add(need, state, {old.option, static_cast<std::int32_t>(i), model_.domain_of(old.nodes[0]), old.nodes});
  }
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(states_.size()); ++d) {
    NeedState& state = states_[at(d)];
    if (state.replicas.empty()) continue;
    mark(d);
    cost_ -= state.cost;
    trim(model_.needs()[at(d)], state);
    state.cost = cost_of(model_.needs()[at(d)], state.replicas);
    cost_ += state.cost;
  }
}

std::vector<std::int32_t> Search::hold_refused() {
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

void Search::take_whole(const std::vector<std::vector<double>>& choice) {
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(states_.size()); ++d) {
    const Need& need = model_.needs()[at(d)];
    NeedState& state = states_[at(d)];
    items_.clear();
    sources_.clear();
    counts_.clear();
    for (std::size_t i = 0; i < need.options.size(); ++i) {
      const auto whole = static_cast<std::int64_t>(choice[at(d)][i] + kRoundUp);
      if (whole == 0) continue;
      const auto olds = static_cast<std::int64_t>(need.options[i].olds.size());
      for (const bool is_kept : {true, false}) {
        items_.push_back({need.options[i].throughput, 0, whole});
        sources_.push_back({static_cast<std::int32_t>(i), is_kept});
        counts_.push_back(is_kept ? std::min(olds, whole) : std::max<std::int64_t>(0, whole - olds));
      }
    }
    if (items_.empty()) continue;
    mark(d);
    cost_ -= state.cost;
    realise(need, state);
    trim(need, state);
    state.cost = cost_of(need, state.replicas);
    cost_ += state.cost;
  }
}

Micros Search::regret(std::int32_t need) {
  const Need& of = model_.needs()[at(need)];
  const Micros open = std::min(plan(of, states_[at(need)], -1), of.refusal);
  std::int64_t most = 0;
  std::int32_t pool = -1;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    const Option& option = of.options[at(sources_[i].option)];
    if (counts_[i] * option.gpus <= most) continue;
    most = counts_[i] * option.gpus;
    pool = option.pool;
  }
  if (pool < 0) return 0;
  return std::min(plan(of, states_[at(need)], pool), of.refusal) - open;
}

void Search::insert_all(const std::function<bool()>& is_time_up) {
  struct Waiting {
    Micros regret = 0;
    std::int32_t need = 0;
    bool operator<(const Waiting& other) const { return regret != other.regret ? regret < other.regret : need > other.need; }
  };
  std::fill(noise_.begin(), noise_.end(), 1.0);
  std::vector<Waiting> heap;
  for (const std::int32_t need : unserved()) heap.push_back({is_time_up() ? 0 : regret(need), need});
  // Rules are broken by what was kept, too: too few domains may still be enough throughput.
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(states_.size()); ++d) {
    const Need& of = model_.needs()[at(d)];
    const auto& replicas = states_[at(d)].replicas;
    if (replicas.empty() || !is_served(d)) continue;
    const bool is_legal = static_cast<std::int64_t>(replicas.size()) >= of.count_min && domains(replicas, of.domains_min) >= of.domains_min;
    if (!is_legal) heap.push_back({regret(d), d});
  }
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    // What was placed since may have raised a regret: the top ones are asked again, a few are enough.
    for (int again = 0; again < kRegretsAnInsertion && heap.size() > 1 && !is_time_up(); ++again) {
      std::pop_heap(heap.begin(), heap.end());
      const Micros now = regret(heap.back().need);
      const bool is_still_first = now >= heap.front().regret;
      heap.back().regret = now;
      std::push_heap(heap.begin(), heap.end());
      if (is_still_first) break;
    }
    std::pop_heap(heap.begin(), heap.end());
    insert(heap.back().need);
    heap.pop_back();
  }
  remember_best();
}

double Search::price_a_token(const Option& option, bool is_kept) const {
  const Micros cost = option.run + priced(option) + (is_kept ? -option.drain : option.start);
  return static_cast<double>(cost) * noise_[at(option.pool)] / static_cast<double>(option.throughput);
}

/// How much more a demand pays, scarcity included, than it must.
double Search::badness(std::int32_t need) const {
  const Need& of = model_.needs()[at(need)];
  Micros paid = states_[at(need)].cost;
  for (const Placed& placed : states_[at(need)].replicas) paid += priced(of.options[at(placed.option)]);
  return static_cast<double>(paid - least_[at(need)]);
}

/// A demand that pays too much, and some of those who are where it would rather be. Returns that pool, or -1.
std::int32_t Search::choose_ruined(const std::vector<std::int32_t>* among, std::vector<std::int32_t>& ruined) {
  ruined.clear();
  const auto pick = [&](std::size_t size) { return static_cast<std::size_t>(rng_.below(size)); };
  const auto any = [&] { return among != nullptr ? (*among)[pick(among->size())] : static_cast<std::int32_t>(pick(states_.size())); };
  std::int32_t first = any();
  if (const std::int32_t other = any(); badness(other) > badness(first)) first = other;
  ruined.push_back(first);
  const Need& need = model_.needs()[at(first)];
  if (need.options.empty()) return -1;
  const Option* wish = nullptr;
  if (rng_.below(3) == 0) {
    wish = &need.options[pick(need.options.size())];
  } else {
    for (const Option& option : need.options) {
      if (wish == nullptr || price_a_token(option, false) < price_a_token(*wish, false)) wish = &option;
    }
  }
  const auto& users = users_[at(wish->pool)];
  const std::size_t wanted = 1 + pick(kRuinedMost);
  for (int tries = 0; ruined.size() < wanted && tries < 8 && !users.empty(); ++tries) {
    const std::int32_t other = users[pick(users.size())];
    if (std::find(ruined.begin(), ruined.end(), other) == ruined.end()) ruined.push_back(other);
  }
  return wish->pool;
}

/// Takes replicas away: of a large demand only some, those in `pool` and the dearest first. The rest is as good as it
/// was, and choosing all anew takes long.
void Search::ruin(std::int32_t need, std::int32_t pool) {
  NeedState& state = states_[at(need)];
  const std::size_t size = state.replicas.size();
  if (size < 4 || rng_.below(size < 16 ? 3 : 24) == 0) return clear(need);
  const Need& of = model_.needs()[at(need)];
  mark(need);
  const std::size_t gone = 1 + static_cast<std::size_t>(rng_.below(std::min<std::size_t>(size / 2, kRuinedReplicasMost)));
  while (state.replicas.size() > size - gone) {
    std::size_t worst = 0;
    double worst_price = -1;
    for (int tries = 0; tries < 4; ++tries) {
      const std::size_t index = static_cast<std::size_t>(rng_.below(state.replicas.size()));
      const Placed& placed = state.replicas[index];
      const Option& option = of.options[at(placed.option)];
      const double price = price_a_token(option, placed.old >= 0) * (option.pool == pool ? 4 : 1);
      if (price <= worst_price) continue;
      worst = index;
      worst_price = price;
    }
    remove(of, state, worst);
  }
}

std::int64_t Search::improve(const std::function<double()>& progress, const std::vector<std::int32_t>* among) {
  if (states_.empty() || (among != nullptr && among->empty())) return 0;
  remember_best();
  std::vector<std::int32_t> ruined;
  std::vector<NeedState> before;
  const double heat_first = kHeatFirst * static_cast<double>(cost_) / static_cast<double>(states_.size());
  double gone = progress();
  std::int64_t rounds = 0;
  for (auto& users : users_) users.clear();
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(states_.size()); ++d) {
    for (const Placed& placed : states_[at(d)].replicas) users_[at(model_.needs()[at(d)].options[at(placed.option)].pool)].push_back(d);
  }
  for (; gone < 1; ++rounds) {
    if (rounds % kRoundsALook == 0 && (gone = progress()) >= 1) break;
    for (double& each : noise_) each = 1 - kNoise + 2 * kNoise * rng_.unit();
    const std::int32_t pool = choose_ruined(among, ruined);
    const Micros cost_before = cost_;
    before.clear();
    for (const std::int32_t need : ruined) before.push_back(states_[at(need)]);
    for (const std::int32_t need : ruined) ruin(need, need == ruined.front() ? -1 : pool);
    for (std::size_t i = ruined.size(); i > 1; --i) {
      const std::size_t j = static_cast<std::size_t>(rng_.below(i));
      std::swap(ruined[i - 1], ruined[j]);
      std::swap(before[i - 1], before[j]);
    }
    for (const std::int32_t need : ruined) insert(need);
    const double heat = heat_first * (1 - gone) * (1 - gone);
    const double allowed = -heat * std::log(1 - rng_.unit());
    if (static_cast<double>(cost_ - cost_before) > allowed) {
      for (const std::int32_t need : ruined) clear(need);
      for (std::size_t i = 0; i < ruined.size(); ++i) restore(ruined[i], before[i]);
      continue;
    }
    const auto pool_of = [&](std::int32_t need, const Placed& placed) { return at(model_.needs()[at(need)].options[at(placed.option)].pool); };
    for (std::size_t i = 0; i < ruined.size(); ++i) {
      for (const Placed& placed : before[i].replicas) {
        auto& users = users_[pool_of(ruined[i], placed)];
        const auto found = std::find(users.begin(), users.end(), ruined[i]);
        *found = users.back();
        users.pop_back();
      }
      for (const Placed& placed : states_[at(ruined[i])].replicas) users_[pool_of(ruined[i], placed)].push_back(ruined[i]);
    }
    if (cost_ < best_cost_) remember_best();
  }
  std::fill(noise_.begin(), noise_.end(), 1.0);
  return_to_best();
  return rounds;
}

}  // namespace tidegate::scheduler::placement
