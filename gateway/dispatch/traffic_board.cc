#include "gateway/dispatch/traffic_board.h"

#include <algorithm>

namespace tidegate::gateway {

void TrafficBoard::apply(std::pair<std::uint64_t, std::uint64_t> order, const std::vector<TrafficShare>& shares) {
  const std::lock_guard lock(mutex_);
  if (order <= order_) return;  // another lane was first
  order_ = order;
  std::map<Place, std::vector<TrafficArm>> wanted;
  for (const TrafficShare& share : shares) {
    wanted[place_of(share.model, share.region, share.pool)].push_back({share.arm, share.weight});
  }
  std::erase_if(splits_, [&](const auto& entry) { return !wanted.contains(entry.first); });
  for (auto& [place, arms] : wanted) splits_[place].set(std::move(arms));
}

bool TrafficBoard::has_part(const ServingPool& pool, const std::string& arm) {
  const std::lock_guard lock(mutex_);
  const auto found = splits_.find(place_of(pool.model, pool.region, pool.pool));
  if (found == splits_.end() || !found->second.is_divided()) return true;
  const auto index = found->second.find(arm);
  return index && found->second.arms()[*index].weight > 0;
}

TrafficBoard::Decision TrafficBoard::decide(const ServingPool& pool, std::span<const ArmNow> arms,
                                            const std::string& home) {
  const std::lock_guard lock(mutex_);
  const auto found = splits_.find(place_of(pool.model, pool.region, pool.pool));
  Decision decision;
  if (found == splits_.end() || !found->second.is_divided()) return decision;
  TrafficSplit& split = found->second;
  std::vector<TrafficSplit::ArmView> views(split.arms().size());
  for (const ArmNow& arm : arms) {
    const auto index = split.find(arm.name);
    if (index) views[*index] = {arm.is_serving, arm.can_take};
  }
  decision.is_divided = true;
  const auto pick = split.pick(views, home.empty() ? std::nullopt : split.find(home));
  if (!pick) {
    decision.waits = true;
    return decision;
  }
  split.give(pick->arm);
  decision.arm = split.arms()[pick->arm].name;
  decision.is_passed_on = pick->is_passed_on;
  return decision;
}

}  // namespace tidegate::gateway
