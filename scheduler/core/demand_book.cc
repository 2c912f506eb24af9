#include "scheduler/core/demand_book.h"

#include <algorithm>
#include <utility>

namespace tidegate::scheduler {

namespace {

/// A total never falls within a life; one that does is taken for a new beginning.
std::int64_t grown(std::int64_t before, std::int64_t now) { return now >= before ? now - before : 0; }

}  // namespace

DemandBook::Key DemandBook::key_of(const std::string& model, const std::string& region, const std::string& pool) {
  return model + '\n' + region + '\n' + pool;
}

void DemandBook::report(DemandReport report, Mono now) {
  std::erase_if(gateways_, [&](const auto& entry) { return now - entry.second.heard > 4 * limits_.silent_after; });
  auto found = gateways_.find(report.gateway_id);
  if (found == gateways_.end()) {
    if (gateways_.size() >= limits_.gateways) return;
    found = gateways_.emplace(report.gateway_id, Gateway{}).first;
  }
  Gateway& gateway = found->second;
  const bool is_same_life = gateway.epoch == report.epoch;
  if (!is_same_life) gateway.pools.clear();
  const bool is_first = gateway.heard == Mono{} || !is_same_life;
  gateway.epoch = report.epoch;
  gateway.heard = now;
  std::map<Key, PoolDemand> next;
  for (PoolDemand& demand : report.pools) {
    if (next.size() >= limits_.pools) break;
    const Key key = key_of(demand.model, demand.region, demand.pool);
    if (!is_first) {
      const auto known = gateway.pools.find(key);
      // One that is new within a known life began at zero.
      const PoolDemand before = known == gateway.pools.end() ? PoolDemand{} : known->second;
      Sum& sum = pools_[key];
      sum.arrivals += grown(before.arrivals_total, demand.arrivals_total);
      sum.dispatches += grown(before.dispatches_total, demand.dispatches_total);
      sum.refusals += grown(before.refusals_total, demand.refusals_total);
      sum.prompt_tokens += grown(before.prompt_tokens_total, demand.prompt_tokens_total);
    }
    next.insert_or_assign(key, std::move(demand));
  }
  gateway.pools = std::move(next);
  if (pools_.size() > 4 * limits_.pools) {  // pools that nobody reports any more
    std::erase_if(pools_, [&](const auto& entry) {
      return std::none_of(gateways_.begin(), gateways_.end(),
                          [&](const auto& each) { return each.second.pools.contains(entry.first); });
    });
  }
}

DemandBook::Rates DemandBook::take(const std::string& model, const std::string& region, const std::string& pool,
                                   Mark& mark, Mono now) const {
  const Key key = key_of(model, region, pool);
  Rates rates;
  for (const auto& [id, gateway] : gateways_) {
    if (now - gateway.heard > limits_.silent_after) continue;
    rates.is_known = true;
    const auto found = gateway.pools.find(key);
    if (found == gateway.pools.end()) continue;
    rates.waiting += found->second.waiting;
    if (found->second.waiting > 0) rates.oldest_wait = std::max(rates.oldest_wait, found->second.oldest_wait);
  }
  const auto counted = pools_.find(key);
  const Sum sum = counted == pools_.end() ? Sum{} : counted->second;
  const double span = std::chrono::duration<double>(now - mark.taken_).count();
  rates.is_known = rates.is_known && mark.is_set_ && span > 0;
  if (rates.is_known) {
    const auto per_s = [&](std::int64_t before, std::int64_t after) {
      return static_cast<double>(grown(before, after)) / span;
    };
    rates.arrivals_per_s = per_s(mark.seen_.arrivals, sum.arrivals);
    rates.dispatches_per_s = per_s(mark.seen_.dispatches, sum.dispatches);
    rates.refusals_per_s = per_s(mark.seen_.refusals, sum.refusals);
    rates.prompt_tokens_per_s = per_s(mark.seen_.prompt_tokens, sum.prompt_tokens);
  }
  mark.seen_ = sum;
  mark.taken_ = now;
  mark.is_set_ = true;
  return rates;
}

std::int64_t DemandBook::waiting(const std::string& model, const std::string& region, const std::string& pool,
                                 Mono now) const {
  const Key key = key_of(model, region, pool);
  std::int64_t sum = 0;
  for (const auto& [id, gateway] : gateways_) {
    if (now - gateway.heard > limits_.silent_after) continue;
    const auto found = gateway.pools.find(key);
    if (found != gateway.pools.end()) sum += found->second.waiting;
  }
  return sum;
}

std::size_t DemandBook::gateways(Mono now) const {
  return static_cast<std::size_t>(std::count_if(gateways_.begin(), gateways_.end(), [&](const auto& entry) {
    return now - entry.second.heard <= limits_.silent_after;
  }));
}

}  // namespace tidegate::scheduler
