#include "scheduler/sim/static_peak.h"

#include <algorithm>

namespace tidegate::scheduler {

namespace {

constexpr double kHour = 1.0 / 24;
constexpr std::int32_t kWarmMinutes = 60;

/// Of the week; the hour that starts there.
std::int32_t busiest_minute(const SimSettings& settings) {
  std::int32_t best = 0;
  double most = -1;
  const auto from = settings.start_minute + static_cast<std::int32_t>(settings.warm_days * kMinutesPerDay);
  const auto span = static_cast<std::int32_t>(std::max(settings.days, kHour) * kMinutesPerDay);
  for (std::int32_t at = 0; at < span; at += 15) {
    double sum = 0;
    for (std::int32_t minute = 0; minute < 60; ++minute) sum += day_shape((from + at + minute) % kMinutesPerWeek);
    if (sum <= most) continue;
    most = sum;
    best = (from + at) % kMinutesPerWeek;
  }
  return best;
}

}  // namespace

std::int32_t static_peak(const SimPlan& plan, const std::vector<TraceRequest>& trace, const SimSettings& settings,
                         const std::string& deployment, double slo) {
  SimPlan one;
  one.nodes = plan.nodes;
  for (const SimDeployment& each : plan.deployments) {
    if (each.deployment.name == deployment) one.deployments = {each};
  }
  if (one.deployments.empty()) return 0;
  SimSettings hour = settings;
  // Replicas load meanwhile, and what queued up until they served is gone when the hour begins.
  hour.warm_days = static_cast<double>(kWarmMinutes) / kMinutesPerDay;
  hour.days = kHour;
  hour.start_minute = (busiest_minute(settings) + kMinutesPerWeek - kWarmMinutes) % kMinutesPerWeek;
  one.deployments[0].deployment.autoscale.is_on = false;
  const auto keeps = [&](std::int32_t replicas) {
    one.deployments[0].deployment.replicas = replicas;
    auto sim = FleetSim::open(one, trace, hour);
    return sim && (*sim)->run().front().slo_share() >= slo;
  };
  std::int32_t low = 0;  // known to be too few
  std::int32_t high = 1;
  while (high < kReplicasMax && !keeps(high)) {
    low = high;
    high = std::min(high * 2, kReplicasMax);
  }
  while (high - low > 1) {
    const std::int32_t middle = (low + high) / 2;
    (keeps(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace tidegate::scheduler
