#include "gateway/dispatch/demand_board.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

namespace tidegate::gateway {

void DemandBoard::put(std::size_t lane, std::vector<PoolDemand> demand) {
  const std::lock_guard lock(mutex_);
  lanes_[lane] = std::move(demand);
}

std::vector<PoolDemand> DemandBoard::sum() const {
  std::map<std::tuple<std::string, std::string, std::string>, PoolDemand> by_pool;
  const std::lock_guard lock(mutex_);
  for (const auto& [lane, demand] : lanes_) {
    for (const PoolDemand& one : demand) {
      const auto [slot, is_new] = by_pool.try_emplace({one.pool.model, one.pool.region, one.pool.pool}, one);
      if (is_new) continue;
      PoolDemand& all = slot->second;
      all.arrivals += one.arrivals;
      all.dispatches += one.dispatches;
      all.refusals += one.refusals;
      all.prompt_tokens += one.prompt_tokens;
      all.waiting += one.waiting;
      all.oldest_wait = std::max(all.oldest_wait, one.oldest_wait);
    }
  }
  std::vector<PoolDemand> out;
  for (auto& [key, demand] : by_pool) out.push_back(std::move(demand));
  return out;
}

}  // namespace tidegate::gateway
