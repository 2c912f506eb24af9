#pragma once

#include <string_view>
#include <vector>

#include "scheduler/sim/fleet_sim.h"

namespace tidegate::scheduler {

/// nodes.csv: gpu_model, gpu_capacity_num, cpu_num, node_name, with that heading (alibaba/clusterdata v2026-spot-gpu).
/// Fails: invalid_argument/bad_inventory with the line.
Result<std::vector<SimNode>> parse_inventory(std::string_view text);

/// The deployments to simulate; docs/autoscaling.md has an example of the file.
/// Fails: invalid_argument/bad_plan, unknown_field, missing_field, ... naming the member.
Result<std::vector<SimDeployment>> parse_sim_deployments(std::string_view text);

}  // namespace tidegate::scheduler
