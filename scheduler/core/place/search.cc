#include "scheduler/core/place/search.h"

#include <algorithm>
#include <cmath>

namespace tidegate::scheduler::placement {

namespace {

constexpr double kNoise = 0.15;           // of a pool's prices in a round
constexpr std::uint64_t kRuinedMost = 5;  // demands in a round
constexpr std::size_t kRuinedReplicasMost = 12;  // of one of them, when it has many
constexpr double kHeatFirst = 0.005;      // of the mean cost of a demand
constexpr int kRegretsAnInsertion = 4;

}  // namespace

Search::Search(const Model& model, Prices prices, std::vector<Micros> least, std::uint64_t seed)
    : model_(model), draft_(model, std::move(prices)), least_(std::move(least)), rng_(seed) {
  least_.resize(model.needs().size(), 0);
  is_changed_.assign(model.needs().size(), 0);
  users_.resize(at(model.pool_count()));
}

std::vector<std::int32_t> Search::incomplete() {
  std::vector<std::int32_t> out;
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(model_.needs().size()); ++d) {
    if (!draft_.is_served(d) || !draft_.is_legal(d)) out.push_back(d);
  }
  return out;
}

void Search::mark(std::int32_t need) {
  if (is_changed_[at(need)] != 0) return;
  is_changed_[at(need)] = 1;
  changed_.push_back(need);
}

void Search::remember_best() {
  for (const std::int32_t need : changed_) {
    best_states_[at(need)] = draft_.needs()[at(need)];
    is_changed_[at(need)] = 0;
  }
  changed_.clear();
  best_cost_ = draft_.cost();
}

void Search::return_to_best() {
  for (const std::int32_t need : changed_) draft_.clear(need);
  for (const std::int32_t need : changed_) draft_.restore(need, best_states_[at(need)]);
  remember_best();
}

Micros Search::regret(std::int32_t need) {
  const Draft::Estimate open = draft_.estimate(need, -1);
  return open.pool < 0 ? 0 : draft_.estimate(need, open.pool).cost - open.cost;
}

void Search::insert_all(const std::vector<std::int32_t>& needs, const std::function<bool()>& is_time_up) {
  struct Waiting {
    Micros regret = 0;
    std::int32_t need = 0;
    bool operator<(const Waiting& other) const { return regret != other.regret ? regret < other.regret : need > other.need; }
  };
  std::vector<Waiting> heap;
  for (const std::int32_t need : needs) heap.push_back({is_time_up() ? 0 : regret(need), need});
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
    draft_.insert(heap.back().need);
    heap.pop_back();
  }
}

/// How much more a demand pays, scarcity included, than it must.
double Search::badness(std::int32_t need) const {
  const Need& of = model_.needs()[at(need)];
  Micros paid = draft_.needs()[at(need)].cost;
  for (const Placed& placed : draft_.needs()[at(need)].replicas) paid += draft_.scarcity(of.options[at(placed.option)]);
  return static_cast<double>(paid - least_[at(need)]);
}

/// A demand that pays too much, and some of those who are where it would rather be. Returns that pool, or -1.
std::int32_t Search::choose_ruined(const std::vector<std::int32_t>* among, std::vector<std::int32_t>& ruined) {
  ruined.clear();
  const auto pick = [&](std::size_t size) { return static_cast<std::size_t>(rng_.below(size)); };
  const auto any = [&] { return among != nullptr ? (*among)[pick(among->size())] : static_cast<std::int32_t>(pick(model_.needs().size())); };
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
      if (wish == nullptr || draft_.price_a_token(option, false) < draft_.price_a_token(*wish, false)) wish = &option;
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
  const NeedState& state = draft_.needs()[at(need)];
  const std::size_t size = state.replicas.size();
  mark(need);
  if (size < 4 || rng_.below(size < 16 ? 3 : 24) == 0) return draft_.clear(need);
  const Need& of = model_.needs()[at(need)];
  const std::size_t gone = 1 + static_cast<std::size_t>(rng_.below(std::min<std::size_t>(size / 2, kRuinedReplicasMost)));
  while (state.replicas.size() > size - gone) {
    std::size_t worst = 0;
    double worst_price = -1;
    for (int tries = 0; tries < 4; ++tries) {
      const std::size_t index = static_cast<std::size_t>(rng_.below(state.replicas.size()));
      const Placed& placed = state.replicas[index];
      const Option& option = of.options[at(placed.option)];
      const double price = draft_.price_a_token(option, placed.old >= 0) * (option.pool == pool ? 4 : 1);
      if (price <= worst_price) continue;
      worst = index;
      worst_price = price;
    }
    draft_.remove(need, worst);
  }
}

void Search::index_users() {
  for (auto& users : users_) users.clear();
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(model_.needs().size()); ++d) {
    for (const Placed& placed : draft_.needs()[at(d)].replicas) users_[at(model_.needs()[at(d)].options[at(placed.option)].pool)].push_back(d);
  }
}

void Search::update_users(std::int32_t need, const NeedState& before) {
  const Need& of = model_.needs()[at(need)];
  for (const Placed& placed : before.replicas) {
    auto& users = users_[at(of.options[at(placed.option)].pool)];
    *std::find(users.begin(), users.end(), need) = users.back();
    users.pop_back();
  }
  for (const Placed& placed : draft_.needs()[at(need)].replicas) users_[at(of.options[at(placed.option)].pool)].push_back(need);
}

std::int64_t Search::improve(const std::function<double()>& progress, const std::vector<std::int32_t>* among) {
  if (model_.needs().empty() || (among != nullptr && among->empty())) return 0;
  best_states_ = draft_.needs();
  best_cost_ = draft_.cost();
  index_users();
  std::vector<std::int32_t> ruined;
  std::vector<NeedState> before;
  const double heat_first = kHeatFirst * static_cast<double>(draft_.cost()) / static_cast<double>(model_.needs().size());
  double gone = 0;
  std::int64_t rounds = 0;
  for (;; ++rounds) {
    if (rounds % kRoundsALook == 0 && (gone = progress()) >= 1) break;
    for (double& each : draft_.noise()) each = 1 - kNoise + 2 * kNoise * rng_.unit();
    const std::int32_t pool = choose_ruined(among, ruined);
    const std::int32_t first = ruined.front();
    const Micros cost_before = draft_.cost();
    for (std::size_t i = ruined.size(); i > 1; --i) std::swap(ruined[i - 1], ruined[static_cast<std::size_t>(rng_.below(i))]);
    before.clear();
    for (const std::int32_t need : ruined) before.push_back(draft_.needs()[at(need)]);
    for (const std::int32_t need : ruined) ruin(need, need == first ? -1 : pool);
    for (const std::int32_t need : ruined) draft_.insert(need);
    const double heat = heat_first * (1 - gone) * (1 - gone);
    const double allowed = -heat * std::log(1 - rng_.unit());
    if (static_cast<double>(draft_.cost() - cost_before) > allowed) {
      for (const std::int32_t need : ruined) draft_.clear(need);
      for (std::size_t i = 0; i < ruined.size(); ++i) draft_.restore(ruined[i], before[i]);
      continue;
    }
    for (std::size_t i = 0; i < ruined.size(); ++i) update_users(ruined[i], before[i]);
    if (draft_.cost() < best_cost_) remember_best();
  }
  std::fill(draft_.noise().begin(), draft_.noise().end(), 1.0);
  return_to_best();
  return rounds;
}

}  // namespace tidegate::scheduler::placement
