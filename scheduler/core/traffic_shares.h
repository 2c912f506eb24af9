#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scheduler/core/fleet_types.h"
#include "scheduler/core/route_book.h"

namespace tidegate::scheduler {

/// What is seen of one deployment, for dividing the traffic of its model.
struct TrafficPart {
  const Deployment* deployment = nullptr;
  std::int32_t wanted = 0;  ///< replicas of the whole deployment
  std::int32_t stable_ready = 0;
  std::int32_t candidate_ready = 0;
};

/// The shares of every pool in which a deployment gives a new revision a share of the traffic; of other pools none.
/// A deployment's part of its pool is as many as its replicas, and its new revision has its percents of that part. A
/// revision that nobody serves just now leaves its share to the other one of its deployment, as long as it may have any.
/// Sorted; `by_hand`: ready workers without a deployment by (model, region, pool), one replica each.
std::vector<TrafficShare> traffic_shares(const std::vector<TrafficPart>& parts, const std::map<Offer, std::int32_t>& by_hand,
                                         Wall now);

}  // namespace tidegate::scheduler
