#pragma once

#include "scheduler/core/plan/deployment_plan.h"
#include "tidegate/v1/fleet.pb.h"

/// proto/tidegate/v1/fleet.proto <-> scheduler/core/plan.
namespace tidegate::scheduler {

PlanRequest read_plan_request(const v1::PlanDeploymentRequest& message);
v1::DeploymentPlan to_message(const DeploymentPlan& plan);

}  // namespace tidegate::scheduler
