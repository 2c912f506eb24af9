#include "scheduler/core/traffic_shares.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "scheduler/core/rollout.h"

namespace tidegate::scheduler {

namespace {

constexpr std::int64_t kWhole = 100;

using Place = std::tuple<std::string, std::string, std::string>;  // model, region, pool

Place place_of(const Deployment& deployment) { return {public_model(deployment), deployment.region, deployment.pool}; }
/// A rollout without steps may move a deployment.
Place place_ahead(const Deployment& deployment) {
  return {public_model(deployment), deployment.rollout.spec.region, deployment.rollout.spec.pool};
}

void add(std::vector<TrafficShare>& shares, const Place& place, std::string arm, std::int64_t weight) {
  const auto& [model, region, pool] = place;
  shares.push_back({model, region, pool, std::move(arm), weight});
}

/// Percents of the new revision by what serves. One that may have nothing yet gets nothing, whatever else is down.
std::int64_t percent_now(std::int32_t percent, const TrafficPart& part) {
  if (percent == 0 || part.candidate_ready == 0) return 0;
  return part.stable_ready == 0 ? kWhole : percent;
}

}  // namespace

std::vector<TrafficShare> traffic_shares(const std::vector<TrafficPart>& parts,
                                         const std::map<Offer, std::int32_t>& by_hand, Wall now) {
  std::set<Place> divided;
  for (const TrafficPart& part : parts) {
    if (rollout_targets(*part.deployment, part.wanted, now).share_percent) divided.insert(place_of(*part.deployment));
  }
  std::vector<TrafficShare> shares;
  if (divided.empty()) return shares;
  for (const TrafficPart& part : parts) {
    const Deployment& deployment = *part.deployment;
    const Rollout& rollout = deployment.rollout;
    const Place place = place_of(deployment);
    const RolloutTargets targets = rollout_targets(deployment, part.wanted, now);
    const std::string stable = arm_name(deployment.name, deployment.revision);
    const std::string candidate = arm_name(deployment.name, rollout.revision);
    if (targets.share_percent) {
      const std::int64_t percent = percent_now(*targets.share_percent, part);
      // A new term does not know at once how many an autoscaled one is to have: weights of nothing would divide nothing.
      const std::int64_t replicas = std::max(part.wanted, 1);
      add(shares, place, stable, replicas * (kWhole - percent));
      add(shares, place, candidate, replicas * percent);
      continue;
    }
    if (divided.contains(place)) add(shares, place, stable, targets.stable * kWhole);
    if (rollout.phase == RolloutPhase::kNone || !divided.contains(place_ahead(deployment))) continue;
    add(shares, place_ahead(deployment), candidate, std::min(rollout.done, part.wanted) * kWhole);
  }
  for (const auto& [where, workers] : by_hand) {
    const Place place{where.model, where.region, where.pool};
    if (divided.contains(place)) add(shares, place, {}, workers * kWhole);
  }
  std::sort(shares.begin(), shares.end());
  return shares;
}

}  // namespace tidegate::scheduler
