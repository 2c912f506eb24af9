#include "gateway/core/traffic_split.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace tidegate::gateway {
namespace {

/// Percents of replicas come as large numbers; small ones are worked with.
std::int64_t divisor_of(const std::vector<TrafficArm>& arms) {
  std::int64_t divisor = 0;
  for (const TrafficArm& arm : arms) divisor = std::gcd(divisor, arm.weight);
  return std::max<std::int64_t>(divisor, 1);
}

/// Those that get something, in smallest terms.
std::vector<TrafficArm> parts_of(const std::vector<TrafficArm>& arms) {
  const std::int64_t divisor = divisor_of(arms);
  std::vector<TrafficArm> parts;
  for (const TrafficArm& arm : arms) {
    if (arm.weight > 0) parts.push_back({arm.name, arm.weight / divisor});
  }
  return parts;
}

}  // namespace

std::vector<std::int64_t> TrafficSplit::carried_to(const std::vector<TrafficArm>& arms) const {
  std::vector<std::int64_t> carried(arms.size(), 0);
  if (parts_of(arms) != parts_of(arms_)) return carried;
  std::size_t before = 0;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (arms[i].weight == 0) continue;  // gets nothing, so it is owed nothing
    while (arms_[before].weight == 0) ++before;
    carried[i] = credits_[before++];
  }
  return carried;
}

void TrafficSplit::set(std::vector<TrafficArm> arms) {
  std::erase_if(arms, [](const TrafficArm& arm) { return arm.weight < 0; });
  std::ranges::sort(arms, {}, &TrafficArm::name);
  if (arms == arms_) return;
  credits_ = carried_to(arms);
  arms_ = std::move(arms);
  const std::int64_t divisor = divisor_of(arms_);
  total_ = 0;
  weights_.clear();
  for (const TrafficArm& arm : arms_) {
    weights_.push_back(arm.weight / divisor);
    total_ += weights_.back();
  }
}

std::optional<std::size_t> TrafficSplit::find(const std::string& arm) const {
  const auto found = std::ranges::find(arms_, arm, &TrafficArm::name);
  if (found == arms_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - arms_.begin());
}

std::size_t TrafficSplit::base() const {
  return static_cast<std::size_t>(std::ranges::max_element(weights_) - weights_.begin());
}

std::optional<TrafficSplit::Pick> TrafficSplit::pick(std::span<const ArmView> views,
                                                     std::optional<std::size_t> home) const {
  if (total_ == 0 || views.size() != arms_.size()) return std::nullopt;
  const auto due_of = [this](std::size_t arm) { return credits_[arm] + weights_[arm]; };
  if (home && weights_[*home] > 0 && views[*home].can_take && due_of(*home) - total_ >= -kSlack * total_)
    return Pick{*home};
  std::size_t due = base();
  for (std::size_t i = 0; i < arms_.size(); ++i) {
    if (weights_[i] > 0 && due_of(i) > due_of(due)) due = i;
  }
  if (views[due].can_take) return Pick{due};
  const std::size_t main = base();
  if (views[main].can_take) return Pick{main, true};
  if (views[main].is_serving) return std::nullopt;
  // By what they are owed, so that a small share stays the small one among them.
  std::optional<Pick> stand_in;
  for (std::size_t i = 0; i < arms_.size(); ++i) {
    if (weights_[i] == 0 || !views[i].can_take) continue;
    if (!stand_in || due_of(i) > due_of(stand_in->arm)) stand_in = Pick{i, true};
  }
  return stand_in;
}

void TrafficSplit::give(std::size_t arm) {
  for (std::size_t i = 0; i < arms_.size(); ++i) credits_[i] += weights_[i];
  credits_[arm] -= total_;
  // What an arm could not take for long is not made up for in one rush; nor does it pay for standing in.
  const std::size_t main = base();
  for (std::size_t i = 0; i < arms_.size(); ++i) {
    if (i == main) continue;
    const std::int64_t kept = std::clamp(credits_[i], -kSlack * total_, kSlack * total_);
    credits_[main] += credits_[i] - kept;
    credits_[i] = kept;
  }
}

double TrafficSplit::behind(std::size_t arm) const {
  return total_ == 0 ? 0 : static_cast<double>(credits_[arm]) / static_cast<double>(total_);
}

}  // namespace tidegate::gateway
