#include "scheduler/core/place/dual.h"

#include <algorithm>
#include <cmath>

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

Micros Dual::paid_for_capacity(const Prices& prices) const {
  Micros paid = 0;
  for (std::int32_t p = 0; p < model_.pool_count(); ++p) paid += prices.pools[at(p)] * model_.pool_gpus(p);
  for (std::size_t q = 0; q < prices.quotas.size(); ++q) {
    // A quota beyond the whole fleet binds nobody and would only overflow.
    paid += prices.quotas[q] * std::min(model_.problem().quotas[q].gpus_max, model_.gpus());
  }
  return paid;
}

Micros Dual::value() const {
  Micros value = -paid_for_capacity(best_);
  for (const Micros need : best_needs_) value += need;
  return std::max<Micros>(0, value);
}

Micros Dual::evaluate_need(const Need& need, const Prices& prices, Fineness fineness, Values* use) {
  items_.clear();
  sources_.clear();
  double best_ratio = 0;
  std::int64_t likely = 1;
  for (std::size_t first = 0, next = 0; first < need.options.size(); first = next) {
    // Options of one throughput: of new replicas only the cheapest matters, as its price already includes scarcity.
    const std::int64_t throughput = need.options[first].throughput;
    const Option* cheapest = nullptr;
    Micros least = Cover::kNone;
    for (next = first; next < need.options.size() && need.options[next].throughput == throughput; ++next) {
      const Option& option = need.options[next];
      const Micros cost = option.run + option.start + scarcity(option, prices);
      if (cost < least) {
        least = cost;
        cheapest = &option;
      }
    }
    for (std::size_t i = first; i < next; ++i) {
      const Option& option = need.options[i];
      if (option.olds.empty()) continue;
      const Micros kept = option.run - option.drain + scarcity(option, prices);
      if (kept >= least) continue;
      items_.push_back({throughput, kept, static_cast<std::int64_t>(option.olds.size())});
      sources_.push_back(&option);
    }
    items_.push_back({throughput, least});
    sources_.push_back(cheapest);
    const double ratio = static_cast<double>(throughput) / static_cast<double>(least + 1);
    if (ratio > best_ratio) {
      best_ratio = ratio;
      likely = (need.target + throughput - 1) / throughput;
    }
  }
  CoverAsk ask;
  ask.target = need.target;
  ask.count_min = need.count_min;
  ask.loses_one = need.loses_one;
  ask.unserved_per_unit_hour = need.unserved_per_unit_hour;
  ask.horizon_s = model_.problem().horizon_s;
  const Micros refused = need.refusal + need.drain_all;
  if (items_.empty()) return refused;
  Micros served = 0;
  drop_dominated(need);
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
      const std::int64_t there = i < pools ? model_.pool_gpus(static_cast<std::int32_t>(i)) : std::min(problem.quotas[i - pools].gpus_max, model_.gpus());
      double slope = (used - static_cast<double>(there)) * scale[i];
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
