#pragma once

#include <string>
#include <vector>

#include "scheduler/sim/fleet_sim.h"

namespace tidegate::scheduler {

/// The fewest replicas of a deployment, never changed, that keep `slo` (a share) in the busiest hour of its days: what
/// one would buy without scaling. kReplicasMax when no number does. Plays that hour a few times.
std::int32_t static_peak(const SimPlan& plan, const std::vector<TraceRequest>& trace, const SimSettings& settings,
                         const std::string& deployment, double slo);

}  // namespace tidegate::scheduler
