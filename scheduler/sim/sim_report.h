#pragma once

#include <string>
#include <vector>

#include "scheduler/sim/fleet_sim.h"

namespace tidegate::scheduler {

/// One deployment's outcome and, beside it, what its static peak would have cost (0: not asked).
struct SimFigures {
  SimOutcome outcome;
  std::int32_t static_replicas = 0;
  double static_hours = 0;  ///< accelerator hours
};

/// {"seed":..,"days":..,"deployments":[{..}],"total":{..}}; arrays by quarter-hour included.
std::string sim_json(const std::vector<SimFigures>& figures, const SimSettings& settings);
/// A line of figures and a chart of the day for each: replicas as bars, requests per second as points.
std::string sim_chart(const std::vector<SimFigures>& figures);

}  // namespace tidegate::scheduler
