#include "scheduler/core/place/search.h"

#include <algorithm>
#include <cmath>

namespace tidegate::scheduler::placement {

namespace {

constexpr double kNoise = 0.15;           // of a pool's prices in a round
  // to be the one that starts a round

constexpr std::uint64_t kRuinedMost = 5;  // demands in a round
constexpr std::size_t kRuinedReplicasMost = 12;  // of one of them, when it has many
constexpr double kHeatFirst = 0.005;      // of the mean cost of a demand
constexpr std::uint64_t kContenders = 6;  // to be the one that starts a round
constexpr int kNodesLookedAt = 16;
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

/// A demand that pays too much: the worst of a few.
std::int32_t Search::choose_first(const std::vector<std::int32_t>* among) {
  const auto any = [&] {
    const std::size_t size = among != nullptr ? among->size() : model_.needs().size();
    const auto index = static_cast<std::size_t>(rng_.below(size));
    return among != nullptr ? (*among)[index] : static_cast<std::int32_t>(index);
  };
  std::int32_t first = any();
  double worst = badness(first);
  for (std::uint64_t more = rng_.below(2) == 0 ? 1 : kContenders; more > 0; --more) {
    const std::int32_t other = any();
    const double bad = badness(other);
    if (bad <= worst) continue;
    worst = bad;
    first = other;
  }
  return first;
}

/// Where it would rather be.
const Option* Search::choose_wish(std::int32_t need) {
  const Need& of = model_.needs()[at(need)];
  if (of.options.empty()) return nullptr;
  if (rng_.below(3) == 0) return &of.options[static_cast<std::size_t>(rng_.below(of.options.size()))];
  const Option* wish = nullptr;
  double least = 0;
  for (const Option& option : of.options) {
    const double price = draft_.price_a_token(option, false);
    if (wish != nullptr && price >= least) continue;
    wish = &option;
    least = price;
  }
  return wish;
}

void Search::touch(std::int32_t need) {
  if (std::find(ruined_.begin(), ruined_.end(), need) != ruined_.end()) return;
  ruined_.push_back(need);
  before_.push_back(draft_.needs()[at(need)]);
  mark(need);
}

/// Takes from some of those who are where the first one would rather be.
void Search::ruin_users(std::int32_t first, const Option& wish) {
  const auto& users = users_[at(wish.pool)];
  const std::size_t wanted = 1 + static_cast<std::size_t>(rng_.below(kRuinedMost));
  for (int tries = 0; ruined_.size() < wanted && tries < 8 && !users.empty(); ++tries) touch(users[static_cast<std::size_t>(rng_.below(users.size()))]);
  ruin(first, -1);
  for (std::size_t i = 1; i < ruined_.size(); ++i) ruin(ruined_[i], wish.pool);
}

/// GPUs that are free here and there are of no use to a replica that needs a whole node, or two in one domain: whoever
/// is on such nodes has to go, and only there.
void Search::empty_nodes(std::int32_t first, const Option& wish) {
  const Need& need = model_.needs()[at(first)];
  const auto have = static_cast<std::int64_t>(draft_.needs()[at(first)].replicas.size());
  const std::int64_t copies = std::max<std::int64_t>(1 + static_cast<std::int64_t>(rng_.below(2)), std::min<std::int64_t>(need.count_min - have, 4));
  if (have > 0 && (draft_.is_served(first) || rng_.below(3) == 0)) ruin(first, -1);
  emptied_.clear();
  for (std::int64_t copy = 0; copy < copies; ++copy) {
    if (!choose_nodes(wish, nodes_)) return;
    for (const std::int32_t node : nodes_) {
      empty_node(node, wish.gpus_on_node);
      emptied_.push_back(node);
    }
  }
}

/// Nodes for one replica, those among a few where the least has to go.
bool Search::choose_nodes(const Option& wish, std::vector<std::int32_t>& nodes) {
  const std::int32_t from = model_.first_node(wish.pool);
  const auto size = static_cast<std::int32_t>(model_.problem().pools[at(wish.pool)].nodes.size());
  if (size == 0) return false;
  const auto is_usable = [&](std::int32_t node) {
    return model_.gpus_of(node) >= wish.gpus_on_node && std::find(emptied_.begin(), emptied_.end(), node) == emptied_.end();
  };
  nodes.clear();
  std::int32_t least = kNodeGpusMax * kReplicaNodesMax + 1;
  std::vector<std::int32_t>& found = candidates_;
  for (int tries = 0; tries < kNodesLookedAt; ++tries) {
    const std::int32_t any = from + static_cast<std::int32_t>(rng_.below(static_cast<std::uint64_t>(size)));
    if (!is_usable(any)) continue;
    found.assign(1, any);
    if (wish.nodes > 1) {
      for (std::int32_t node = from; node < from + size; ++node) {
        if (node != any && model_.domain_of(node) == model_.domain_of(any) && is_usable(node)) found.push_back(node);
      }
      if (found.size() < at(wish.nodes)) continue;
      std::stable_sort(found.begin(), found.end(), [&](std::int32_t a, std::int32_t b) { return draft_.packing().gpus_free(a) > draft_.packing().gpus_free(b); });
      found.resize(at(wish.nodes));
    }
    std::int32_t gone = 0;
    for (const std::int32_t node : found) gone += std::max(0, wish.gpus_on_node - draft_.packing().gpus_free(node));
    if (gone >= least) continue;
    least = gone;
    nodes = found;
  }
  return !nodes.empty();
}

void Search::empty_node(std::int32_t node, std::int32_t gpus) {
  while (draft_.packing().gpus_free(node) < gpus) {
    const auto& residents = draft_.residents(node);
    const std::int32_t need = residents[static_cast<std::size_t>(rng_.below(residents.size()))];
    touch(need);
    const auto& replicas = draft_.needs()[at(need)].replicas;
    const auto here = std::find_if(replicas.begin(), replicas.end(), [&](const Placed& placed) {
      const auto on = placed.nodes.list();
      return std::find(on.begin(), on.end(), node) != on.end();
    });
    draft_.remove(need, static_cast<std::size_t>(here - replicas.begin()));
  }
}

/// Takes replicas away: of a large demand only some, those in `pool` and the dearest first. The rest is as good as it
/// was, and choosing all anew takes long.
void Search::ruin(std::int32_t need, std::int32_t pool) {
  const NeedState& state = draft_.needs()[at(need)];
  const std::size_t size = state.replicas.size();
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
  const double heat_first = kHeatFirst * static_cast<double>(draft_.cost()) / static_cast<double>(model_.needs().size());
  double gone = 0;
  std::int64_t rounds = 0;
  for (;; ++rounds) {
    if (rounds % kRoundsALook == 0 && (gone = progress()) >= 1) break;
    for (double& each : draft_.noise()) each = 1 - kNoise + 2 * kNoise * rng_.unit();
    const Micros cost_before = draft_.cost();
    const std::int32_t first = choose_first(among);
    ruined_.clear();
    before_.clear();
    touch(first);
    const Option* const wish = choose_wish(first);
    if (wish == nullptr) continue;
    const bool is_whole = rng_.below(2) == 0;
    if (is_whole) {
      empty_nodes(first, *wish);
    } else {
      ruin_users(first, *wish);
    }
    order_ = ruined_;
    // The nodes are for the one that started it: it chooses first.
    for (std::size_t i = order_.size(); i > (is_whole ? 2 : 1); --i) {
      const std::size_t least = is_whole ? 1 : 0;
      std::swap(order_[i - 1], order_[least + static_cast<std::size_t>(rng_.below(i - least))]);
    }
    for (const std::int32_t need : order_) draft_.insert(need);
    const double heat = heat_first * (1 - gone) * (1 - gone);
    const double allowed = -heat * std::log(1 - rng_.unit());
    if (static_cast<double>(draft_.cost() - cost_before) > allowed) {
      for (const std::int32_t need : ruined_) draft_.clear(need);
      for (std::size_t i = 0; i < ruined_.size(); ++i) draft_.restore(ruined_[i], before_[i]);
      continue;
    }
    for (std::size_t i = 0; i < ruined_.size(); ++i) update_users(ruined_[i], before_[i]);
    if (draft_.cost() < best_cost_) remember_best();
  }
  std::fill(draft_.noise().begin(), draft_.noise().end(), 1.0);
  return_to_best();
  return rounds;
}

}  // namespace tidegate::scheduler::placement
