#include "scheduler/core/place/dual.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace tidegate::scheduler::placement {

namespace {

constexpr std::int64_t kBoundStepsLeast = 48;
// From here on parts of replicas are as good as whole ones for steering.
constexpr std::int64_t kReplicasLinear = 24;
// Of the ascent, found by trial on inventories of 60 pools at 30 to 95 % use.
constexpr double kGapCoarse = 0.05;
constexpr double kGapFine = 0.03;
constexpr double kGapShrink = 0.75;
constexpr int kPatience = 8;
constexpr double kMomentum = 0.6;
constexpr std::int64_t kExchangesMost = 4000;
constexpr double kAgreed = 2e-4;
constexpr double kCautionFirst = 0.5;  // of the best known prices in the next ones: the master's alone would swing
constexpr std::size_t kRowsMost = 1536;  // of the master, whose inverse is dense
constexpr double kMeanWeight = 0.06;  // of the newest choice in the mean

Micros scarcity(const Option& option, const Prices& prices) {
  Micros per_gpu = prices.pools[at(option.pool)];
  for (const std::int32_t quota : option.quotas) per_gpu += prices.quotas[at(quota)];
  return per_gpu * option.gpus;
}

}  // namespace

Dual::Dual(const Model& model) : model_(model) {
  best_.pools.assign(at(model.pool_count()), 0);
  best_.quotas.assign(model.problem().quotas.size(), 0);
  price_max_ = kMoneyMax / std::max<std::int64_t>(1, model.gpus() + kNodeGpusMax * kReplicaNodesMax);
  price_max_ /= static_cast<Micros>(1 + best_.quotas.size());
}

void Dual::start_from(const std::vector<Micros>& pools, const std::vector<Micros>& quotas) {
  if (pools.size() != best_.pools.size() || quotas.size() != best_.quotas.size()) return;
  for (std::size_t p = 0; p < pools.size(); ++p) best_.pools[p] = std::clamp<Micros>(pools[p], 0, price_max_);
  for (std::size_t q = 0; q < quotas.size(); ++q) best_.quotas[q] = std::clamp<Micros>(quotas[q], 0, price_max_);
}

std::int64_t Dual::there(std::size_t price) const {
  if (price < best_.pools.size()) return model_.pool_gpus(static_cast<std::int32_t>(price));
  // A quota beyond the whole fleet binds nobody and would only overflow.
  return std::min(model_.problem().quotas[price - best_.pools.size()].gpus_max, model_.gpus());
}

Micros Dual::paid_for_capacity(const Prices& prices) const {
  Micros paid = 0;
  for (std::size_t p = 0; p < prices.pools.size(); ++p) paid += prices.pools[p] * there(p);
  for (std::size_t q = 0; q < prices.quotas.size(); ++q) paid += prices.quotas[q] * there(prices.pools.size() + q);
  return paid;
}

Micros Dual::value() const {
  Micros value = -paid_for_capacity(best_);
  for (const Micros need : best_needs_) value += need;
  return std::max<Micros>(0, value);
}

/// What a need may buy at these prices into items_, the smallest first. Returns about how many it will buy.
std::int64_t Dual::list_items(const Need& need, const Prices& prices) {
  items_.clear();
  sources_.clear();
  double best_ratio = 0;
  std::int64_t likely = 1;
  for (std::size_t first = 0, next = 0; first < need.options.size(); first = next) {
    // Options of one throughput, the cheapest first, until there are as many as could be of use: a pool has only so much
    // room, also for one who has it alone.
    const std::int64_t throughput = need.options[first].throughput;
    const std::int64_t more = need.loses_one ? need.options.back().throughput : 0;
    std::int64_t useful = need.count_min + (need.target + more + throughput - 1) / throughput;
    Micros least = Cover::kNone;
    ranked_.clear();
    for (next = first; next < need.options.size() && need.options[next].throughput == throughput; ++next) {
      const Option& option = need.options[next];
      if (option.room == 0) continue;
      const Micros fresh = option.run + option.start + scarcity(option, prices);
      least = std::min(least, fresh);
      const auto olds = std::min(option.room, static_cast<std::int64_t>(option.olds.size()));
      if (olds > 0) ranked_.push_back({fresh - option.start - option.drain, olds, &option});
      if (olds < option.room) ranked_.push_back({fresh, option.room - olds, &option});
    }
    if (ranked_.empty()) continue;
    std::sort(ranked_.begin(), ranked_.end(), [](const Ranked& a, const Ranked& b) { return a.cost < b.cost; });
    for (const Ranked& each : ranked_) {
      if (useful <= 0) break;
      items_.push_back({throughput, each.cost, each.count >= useful ? std::numeric_limits<std::int64_t>::max() : each.count});
      sources_.push_back(each.option);
      useful -= each.count;
    }
    const double ratio = static_cast<double>(throughput) / static_cast<double>(least + 1);
    if (ratio > best_ratio) {
      best_ratio = ratio;
      likely = (need.target + throughput - 1) / throughput;
    }
  }
  if (!items_.empty()) drop_dominated(need);
  return likely;
}

CoverAsk Dual::ask_of(const Need& need) const {
  CoverAsk ask;
  ask.target = need.target;
  ask.count_min = need.count_min;
  ask.loses_one = need.loses_one;
  ask.unserved_per_unit_hour = need.unserved_per_unit_hour;
  ask.horizon_s = model_.problem().horizon_s;
  return ask;
}

Micros Dual::evaluate_need(const Need& need, const Prices& prices, Fineness fineness, Values* use) {
  const std::int64_t likely = list_items(need, prices);
  const CoverAsk ask = ask_of(need);
  const Micros refused = need.refusal + need.drain_all;
  if (items_.empty()) return refused;
  Micros served = 0;
  const bool is_many = likely > kReplicasLinear;
  if (is_many || use == nullptr) served = cover_.linear_bound(items_, ask, use != nullptr ? &bought_ : nullptr);
  if (!is_many || use == nullptr) {
    const std::int64_t most = fineness.steps_most;
    const std::int64_t steps = std::clamp(std::min(likely, most) * fineness.steps_a_replica, kBoundStepsLeast, most);
    served = std::max(served, cover_.bound(items_, ask, steps, use != nullptr ? &counts_ : nullptr));
  }
  if (served >= need.refusal) return refused;
  if (use == nullptr) return served + need.drain_all;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const double count = is_many ? bought_[i] / static_cast<double>(items_[i].throughput) : static_cast<double>(counts_[i]);
    if (count <= 0) continue;
    const Option& option = *sources_[i];
    use->chosen.push_back({use->needs.size(), static_cast<std::size_t>(&option - need.options.data()), count});
    use->pool_use[at(option.pool)] += count * option.gpus;
    for (const std::int32_t quota : option.quotas) use->quota_use[at(quota)] += count * option.gpus;
  }
  return served + need.drain_all;
}

void Dual::use(const Option& option, double count, Master::Choice& choice) const {
  const auto add = [&](std::int32_t price) {
    const auto same = std::find_if(choice.uses.begin(), choice.uses.end(), [&](const Master::Use& each) { return each.price == price; });
    if (same != choice.uses.end()) {
      same->amount += count * option.gpus;
    } else {
      choice.uses.push_back({price, count * option.gpus});
    }
  };
  add(option.pool);
  for (const std::int32_t quota : option.quotas) add(model_.pool_count() + quota);
}

/// A good choice at these prices and what it really costs, both without the prices.
void Dual::price_out(const Need& need, const Prices& prices, Master& master, double& value) {
  const std::int64_t likely = list_items(need, prices);
  const CoverAsk ask = ask_of(need);
  double with_prices = static_cast<double>(need.refusal);
  if (!items_.empty()) {
    const bool is_many = likely > kReplicasLinear;
    Micros paid = 0;
    if (is_many) {
      paid = cover_.linear_bound(items_, ask, &bought_);
    } else {
      const std::int64_t steps = std::clamp(std::min(likely, kChoosing.steps_most) * kChoosing.steps_a_replica, kBoundStepsLeast, kChoosing.steps_most);
      paid = cover_.choose(items_, ask, steps, counts_);
    }
    if (paid < need.refusal) {
      Master::Choice choice;
      choice.need = need.index;
      double sum = 0;
      double largest = 0;
      double scarce = 0;
      double cost = 0;
      for (std::size_t i = 0; i < items_.size(); ++i) {
        const double throughput = static_cast<double>(items_[i].throughput);
        const double count = is_many ? bought_[i] / throughput : static_cast<double>(counts_[i]);
        if (count <= 0) continue;
        const Option& option = *sources_[i];
        sum += count * throughput;
        largest = std::max(largest, throughput);
        const Micros of_one = scarcity(option, prices);
        scarce += count * static_cast<double>(of_one);
        cost += count * static_cast<double>(items_[i].cost - of_one);
        use(option, count, choice);
        choice.counts.emplace_back(static_cast<std::int32_t>(&option - need.options.data()), count);
      }
      const double missing = static_cast<double>(need.target) - (need.loses_one ? sum - largest : sum);
      const double hours = static_cast<double>(ask.horizon_s) / 3600;
      if (is_many) {
        cost = static_cast<double>(paid) - scarce;
      } else if (missing > 0) {
        cost += missing * static_cast<double>(need.unserved_per_unit_hour) * hours;
      }
      with_prices = std::min(with_prices, cost + scarce);
      choice.cost = cost;
      master.add(std::move(choice));
    }
  }
  value += with_prices + static_cast<double>(need.drain_all);
}

/// What runs already fits together: a first solution that is mostly a good one.
void Dual::add_current(const Need& need, Master& master) const {
  Master::Choice choice;
  choice.need = need.index;
  std::int64_t sum = 0;
  std::int64_t largest = 0;
  std::int64_t replicas = 0;
  for (std::size_t i = 0; i < need.options.size(); ++i) {
    const Option& option = need.options[i];
    const auto count = static_cast<std::int64_t>(option.olds.size());
    if (count == 0) continue;
    sum += count * option.throughput;
    largest = std::max(largest, option.throughput);
    replicas += count;
    choice.cost += static_cast<double>(count * (option.run - option.drain));
    use(option, static_cast<double>(count), choice);
    choice.counts.emplace_back(static_cast<std::int32_t>(i), static_cast<double>(count));
  }
  if (replicas < need.count_min) return;
  const std::int64_t missing = need.target - (need.loses_one ? sum - largest : sum);
  if (missing > 0) choice.cost += static_cast<double>(unserved_cost(missing, need.unserved_per_unit_hour, model_.problem().horizon_s));
  master.add(std::move(choice));
}

/// Column generation: the master says what GPUs are worth given the choices known, each need says what it would choose
/// at prices between those and the best known, until they agree or the time is up.
std::int64_t Dual::agree(std::int64_t rounds_max, const std::function<bool()>& is_time_up) {
  const std::size_t pools = best_.pools.size();
  const std::size_t size = pools + best_.quotas.size();
  if (size + model_.needs().size() > kRowsMost || model_.needs().empty()) return 0;
  std::vector<double> all;
  for (std::size_t i = 0; i < size; ++i) all.push_back(static_cast<double>(there(i)));
  std::vector<double> refusals;
  double drains = 0;
  for (const Need& need : model_.needs()) {
    refusals.push_back(static_cast<double>(need.refusal));
    drains += static_cast<double>(need.drain_all);
  }
  Master master(all, refusals);
  for (const Need& need : model_.needs()) add_current(need, master);
  Prices now = best_;
  Prices center = best_;
  double best = -std::numeric_limits<double>::infinity();
  double weight = kCautionFirst;
  std::int64_t rounds = 0;
  while (rounds < rounds_max && !is_time_up()) {
    ++rounds;
    double value = -static_cast<double>(paid_for_capacity(now));
    const std::size_t known = master.choices().size();
    for (const Need& need : model_.needs()) price_out(need, now, master, value);
    const bool is_news = master.choices().size() > known;
    if (value > best) {
      best = value;
      center = now;
    }
    const double master_value = master.solve(kExchangesMost, is_time_up) + drains;
    if (master_value - best < kAgreed * std::abs(master_value)) break;
    if (!is_news) weight *= 0.5;
    const std::vector<double> prices = master.prices();
    for (std::size_t i = 0; i < size; ++i) {
      const double from = static_cast<double>(i < pools ? center.pools[i] : center.quotas[i - pools]);
      const double to = std::min(prices[i], static_cast<double>(price_max_));
      (i < pools ? now.pools[i] : now.quotas[i - pools]) = std::llround(weight * from + (1 - weight) * to);
    }
  }
  if (rounds == 0) return 0;
  best_ = center;
  Values values;
  evaluate(best_, kFine, values);
  best_needs_ = values.needs;
  is_evaluated_ = true;
  mean_.clear();
  for (const Need& need : model_.needs()) mean_.emplace_back(need.options.size(), 0.0);
  const std::vector<double> shares = master.shares();
  for (std::size_t j = 0; j < shares.size(); ++j) {
    for (const auto& [option, count] : master.choices()[j].counts) mean_[at(master.choices()[j].need)][at(option)] += shares[j] * count;
  }
  return rounds;
}

/// Leaves out what some copies of a smaller one, or one larger one, do at least as well for no more money.
void Dual::drop_dominated(const Need& need) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const CoverItem& item = items_[i];
    const auto does_as_well = [&](const CoverItem& other) {
      if (&other == &item || other.count_max != std::numeric_limits<std::int64_t>::max()) return false;
      // A larger one is no better where the largest does not count.
      if (other.throughput > item.throughput) return !need.loses_one && other.cost <= item.cost;
      if (other.throughput == item.throughput) return other.cost < item.cost;
      const std::int64_t copies = (item.throughput + other.throughput - 1) / other.throughput;
      return other.cost <= item.cost / copies;
    };
    is_dominated_.resize(items_.size());
    is_dominated_[i] = std::any_of(items_.begin(), items_.end(), does_as_well) ? 1 : 0;
  }
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (is_dominated_[i] != 0) continue;
    items_[kept] = items_[i];
    sources_[kept++] = sources_[i];
  }
  items_.resize(kept);
  sources_.resize(kept);
}

void Dual::evaluate(const Prices& prices, Fineness fineness, Values& out) {
  out.needs.clear();
  out.chosen.clear();
  out.pool_use.assign(prices.pools.size(), 0);
  out.quota_use.assign(prices.quotas.size(), 0);
  out.total = -paid_for_capacity(prices);
  for (const Need& need : model_.needs()) {
    out.needs.push_back(evaluate_need(need, prices, fineness, &out));
    out.total += out.needs.back();
  }
}

void Dual::average(const Values& values, double weight) {
  if (mean_.empty()) {
    for (const Need& need : model_.needs()) mean_.emplace_back(need.options.size(), 0.0);
  }
  for (auto& need : mean_) {
    for (double& each : need) each *= 1 - weight;
  }
  for (const Chosen& chosen : values.chosen) mean_[chosen.need][chosen.option] += weight * chosen.count;
}

std::int64_t Dual::ascend(std::int64_t coarse_max, std::int64_t fine_max, const std::function<bool()>& is_coarse_over,
                          const std::function<bool()>& is_time_up) {
  std::int64_t done = ascend(coarse_max, kCoarse, kGapCoarse, is_coarse_over);
  if (fine_max > 0 && !is_time_up()) done += ascend(fine_max, kFine, kGapFine, is_time_up);
  return done;
}

std::int64_t Dual::ascend(std::int64_t evaluations_max, Fineness fineness, double gap_share, const std::function<bool()>& is_time_up) {
  const Problem& problem = model_.problem();
  const std::size_t pools = best_.pools.size();
  const std::size_t size = pools + best_.quotas.size();
  // Prices move in proportion to what a GPU costs anyway: dear and cheap pools then need equally many steps.
  std::vector<double> scale(size, 0);
  double mean = 0;
  for (std::size_t p = 0; p < pools; ++p) {
    scale[p] = static_cast<double>(gpu_cost(1, problem.pools[p].price_per_gpu_hour, problem.horizon_s));
    mean += scale[p] / static_cast<double>(std::max<std::size_t>(1, pools));
  }
  for (double& each : scale) each = std::max(each, std::max(1.0, mean * 0.1));
  std::vector<double> x(size, 0);
  std::vector<double> direction(size, 0);
  const auto load = [&](const Prices& from) {
    for (std::size_t i = 0; i < size; ++i) {
      x[i] = static_cast<double>(i < pools ? from.pools[i] : from.quotas[i - pools]) / scale[i];
    }
  };
  // A GPU too many weighs more where there are few.
  for (std::size_t i = 0; i < size; ++i) scale[i] /= std::sqrt(static_cast<double>(std::max<std::int64_t>(1, there(i))));
  load(best_);
  Prices now = best_;
  Values values;
  evaluate(now, fineness, values);
  best_needs_ = values.needs;
  is_evaluated_ = true;
  Micros best = values.total;
  double gap = gap_share * std::max(1.0, std::abs(static_cast<double>(best)));
  int without_progress = 0;
  std::int64_t done = 1;
  const bool is_averaged = fineness.steps_a_replica > kCoarse.steps_a_replica;
  for (; done < evaluations_max && !is_time_up(); ++done) {
    double norm = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const double used = i < pools ? values.pool_use[i] : values.quota_use[i - pools];
      double slope = (used - static_cast<double>(there(i))) * scale[i];
      if (x[i] <= 0 && slope < 0) slope = 0;
      direction[i] = slope + kMomentum * direction[i];
      if (x[i] <= 0 && direction[i] < 0) direction[i] = 0;
      norm += direction[i] * direction[i];
    }
    if (norm <= 0) break;  // nothing is short of anything: these prices are the best there are
    const double step = (static_cast<double>(best - values.total) + gap) / norm;
    for (std::size_t i = 0; i < size; ++i) {
      x[i] = std::clamp(x[i] + step * direction[i], 0.0, static_cast<double>(price_max_) / scale[i]);
      const Micros price = std::clamp<Micros>(std::llround(x[i] * scale[i]), 0, price_max_);
      (i < pools ? now.pools[i] : now.quotas[i - pools]) = price;
    }
    evaluate(now, fineness, values);
    if (is_averaged) average(values, std::max(kMeanWeight, 1.0 / static_cast<double>(done)));
    const bool is_progress = static_cast<double>(values.total - best) > gap * 0.02;
    if (static_cast<double>(values.total - best) > gap * 0.5) gap *= 2;  // far away still
    if (values.total > best) {
      best = values.total;
      best_ = now;
      best_needs_ = values.needs;
    }
    without_progress = is_progress ? 0 : without_progress + 1;
    if (without_progress < kPatience) continue;
    without_progress = 0;
    gap *= kGapShrink;
    if (gap < 1e-5 * static_cast<double>(std::max<Micros>(1, best))) break;
    load(best_);
    std::fill(direction.begin(), direction.end(), 0.0);
    now = best_;
    evaluate(now, fineness, values);
    ++done;
  }
  return done;
}

void Dual::refine(const std::function<bool()>& is_time_up) {
  if (!is_evaluated_) {
    Values values;
    evaluate(best_, kCoarse, values);
    best_needs_ = values.needs;
    is_evaluated_ = true;
  }
  for (std::size_t d = 0; d < best_needs_.size(); ++d) {
    if (is_time_up()) return;
    best_needs_[d] = std::max(best_needs_[d], evaluate_need(model_.needs()[d], best_, kRefining, nullptr));
  }
}

}  // namespace tidegate::scheduler::placement
