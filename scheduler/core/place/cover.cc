#include "scheduler/core/place/cover.h"

#include <algorithm>

namespace tidegate::scheduler::placement {

namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Rounded down, unlike unserved_cost(): for the bound.
Micros penalty_floor(std::int64_t units, const CoverAsk& ask) {
  if (units <= 0) return 0;
  return static_cast<Micros>(static_cast<__int128>(units) * ask.unserved_per_unit_hour * ask.horizon_s / 3600);
}

}  // namespace

Micros Cover::choose(const std::vector<CoverItem>& items, const CoverAsk& ask, std::int64_t steps, std::vector<std::int64_t>& counts) {
  return solve<false>(items, ask, steps, &counts);
}

Micros Cover::bound(const std::vector<CoverItem>& items, const CoverAsk& ask, std::int64_t steps, std::vector<std::int64_t>* counts) {
  return solve<true>(items, ask, steps, counts);
}

template <bool kKeepsChoice>
void Cover::run_stage(const Stage& stage, std::int64_t weight, Micros cost) {
  const std::int64_t columns = steps_ + 1;
  const std::size_t states = static_cast<std::size_t>((counts_ + 1) * columns);
  if (kKeepsChoice) taken_.resize(taken_.size() + states, 0);
  char* const taken = kKeepsChoice ? taken_.data() + taken_.size() - states : nullptr;
  const std::int64_t by = std::min(columns, weight * stage.copies);
  const Micros price = cost > kNone / stage.copies ? kNone : cost * stage.copies;
  // An item that may repeat builds on rows and steps it made already, so upwards; one that may not, downwards.
  for (std::int64_t i = 0; i <= counts_; ++i) {
    const std::int64_t row = stage.is_unlimited ? i : counts_ - i;
    const std::int64_t source = std::max<std::int64_t>(0, row - stage.copies);
    const Micros* const from = cost_.data() + source * columns;
    Micros* const to = cost_.data() + row * columns;
    char* const marks = kKeepsChoice ? taken + row * columns : nullptr;
    const auto relax = [&](std::int64_t column, Micros with) {
      if (with >= to[column]) return;
      to[column] = with;
      if (kKeepsChoice) marks[column] = 1;
    };
    const Micros alone = from[0] + price;
    if (stage.is_unlimited) {
      for (std::int64_t column = 0; column < by; ++column) relax(column, alone);
      for (std::int64_t column = by; column < columns; ++column) relax(column, from[column - by] + price);
    } else {
      for (std::int64_t column = columns - 1; column >= by; --column) relax(column, from[column - by] + price);
      for (std::int64_t column = by - 1; column >= 0; --column) relax(column, alone);
    }
  }
}

template <bool kOptimistic>
Micros Cover::solve(const std::vector<CoverItem>& items, const CoverAsk& ask, std::int64_t steps, std::vector<std::int64_t>* counts) {
  const std::int64_t largest = items.empty() ? 0 : items.back().throughput;
  const std::int64_t lost = ask.loses_one ? std::max(largest, ask.have_largest) : 0;
  // Steps are for what is missing; with a replica to lose that is much larger, they widen.
  const std::int64_t missing_now = ask.target + (ask.loses_one ? ask.have_largest : 0) - ask.have_throughput;
  const std::int64_t missing_most = ask.target + lost - ask.have_throughput;
  const std::int64_t unit = std::max<std::int64_t>(1, ceil_div(std::max(missing_now, missing_most / 3), std::max<std::int64_t>(1, steps)));
  const auto to_steps = [&](std::int64_t throughput) { return kOptimistic ? throughput / unit : ceil_div(throughput, unit); };
  steps_ = std::max<std::int64_t>(0, to_steps(std::max<std::int64_t>(0, ask.target + lost - ask.have_throughput)));
  // One replica at least, two where one does not count, is no rule of its own: without them nothing is served.
  const std::int64_t implied = ask.loses_one ? 2 : 1;
  counts_ = ask.count_min <= implied ? 0 : std::max<std::int64_t>(0, ask.count_min - ask.have_count);
  const std::int64_t columns = steps_ + 1;
  cost_.assign(static_cast<std::size_t>((counts_ + 1) * columns), kNone);
  cost_[0] = 0;
  stages_.clear();
  weights_.clear();
  taken_.clear();

  const Micros per_step = kOptimistic ? penalty_floor(unit, ask) : unserved_cost(unit, ask.unserved_per_unit_hour, ask.horizon_s);
  Best best;
  const auto look = [&](std::int64_t largest_bought) {
    const std::int64_t lost_now = ask.loses_one ? std::max(largest_bought, ask.have_largest) : 0;
    const std::int64_t wanted = std::max<std::int64_t>(0, ask.target + lost_now - ask.have_throughput);
    const std::int64_t last = std::min(steps_, to_steps(wanted));
    const Micros* const row = cost_.data() + counts_ * columns;
    // What is missing at step last - 1, less what rounding may hide; each step before misses one unit more.
    const std::int64_t missing = kOptimistic ? wanted + 1 - (last - 1 + 1) * unit : wanted - (last - 1) * unit;
    const Micros first = kOptimistic ? penalty_floor(missing, ask)
                                     : unserved_cost(std::max<std::int64_t>(0, missing), ask.unserved_per_unit_hour, ask.horizon_s);
    Micros penalty = 0;
    for (std::int64_t step = last; step >= 0; --step) {
      if (row[step] + penalty < best.cost) best = {row[step] + penalty, stages_.size(), step};
      penalty = step == last ? first : penalty + per_step;
    }
  };
  look(0);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const CoverItem& item = items[i];
    const std::int64_t weight = kOptimistic ? ceil_div(item.throughput, unit) : (item.throughput + unit / 2) / unit;
    const std::int64_t useful = counts_ + (weight > 0 ? ceil_div(steps_, weight) : 0);
    if (item.count_max >= useful) {
      stages_.push_back({i, 1, true});
      counts != nullptr ? run_stage<true>(stages_.back(), weight, item.cost) : run_stage<false>(stages_.back(), weight, item.cost);
    } else {
      for (std::int64_t left = item.count_max, copies = 1; left > 0; left -= copies, copies *= 2) {
        copies = std::min(copies, left);
        stages_.push_back({i, copies, false});
        counts != nullptr ? run_stage<true>(stages_.back(), weight, item.cost) : run_stage<false>(stages_.back(), weight, item.cost);
      }
    }
    const bool is_last_of_size = i + 1 == items.size() || items[i + 1].throughput != item.throughput;
    if (is_last_of_size && (ask.loses_one || i + 1 == items.size())) look(item.throughput);
    weights_.push_back(weight);
  }
  if (counts == nullptr) return best.cost;
  counts->assign(items.size(), 0);
  if (best.cost >= kNone) return kNone;
  std::int64_t row = counts_;
  std::int64_t column = best.step;
  for (std::size_t s = best.stages; s-- > 0;) {
    const Stage& stage = stages_[s];
    const char* const taken = taken_.data() + s * static_cast<std::size_t>((counts_ + 1) * columns);
    while (taken[row * columns + column] != 0) {
      (*counts)[stage.item] += stage.copies;
      row = std::max<std::int64_t>(0, row - stage.copies);
      column = std::max<std::int64_t>(0, column - weights_[stage.item] * stage.copies);
      if (!stage.is_unlimited || (row == 0 && column == 0)) break;
    }
  }
  return best.cost;
}

Micros Cover::linear_bound(const std::vector<CoverItem>& items, const CoverAsk& ask, std::vector<double>* bought) {
  by_ratio_.resize(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) by_ratio_[i] = i;
  std::sort(by_ratio_.begin(), by_ratio_.end(), [&](std::size_t a, std::size_t b) {
    const __int128 left = static_cast<__int128>(items[a].cost) * items[b].throughput;
    const __int128 right = static_cast<__int128>(items[b].cost) * items[a].throughput;
    return left != right ? left < right : a < b;
  });
  Micros best = kNone;
  std::vector<double> now;
  // With a replica to lose: for each size that may be the largest, items up to it cover the target and one of it.
  for (std::size_t last = items.size(); last-- > 0;) {
    const bool is_largest_of_size = last + 1 == items.size() || items[last + 1].throughput != items[last].throughput;
    if (!is_largest_of_size) continue;
    __int128 left = ask.target + (ask.loses_one ? items[last].throughput : 0);
    __int128 cost = 0;
    if (bought != nullptr) now.assign(items.size(), 0);
    for (const std::size_t i : by_ratio_) {
      if (i > last || left <= 0) continue;
      const CoverItem& item = items[i];
      const bool is_dearer_than_penalty =
          static_cast<__int128>(item.cost) * 3600 > static_cast<__int128>(ask.unserved_per_unit_hour) * ask.horizon_s * item.throughput;
      if (is_dearer_than_penalty) break;
      __int128 part = left;
      if (item.count_max < left / item.throughput + 1) part = std::min<__int128>(left, static_cast<__int128>(item.count_max) * item.throughput);
      cost += part * item.cost / item.throughput;
      left -= part;
      if (bought != nullptr) now[i] = static_cast<double>(part);
    }
    cost += left * ask.unserved_per_unit_hour * ask.horizon_s / 3600;
    if (cost >= best) continue;
    best = static_cast<Micros>(cost);
    if (bought != nullptr) *bought = now;
    if (!ask.loses_one) break;
  }
  return best;
}

}  // namespace tidegate::scheduler::placement
