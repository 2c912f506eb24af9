#pragma once

#include "scheduler/core/autoscale.h"
#include "scheduler/core/catalogue.h"
#include "scheduler/core/demand_book.h"
#include "scheduler/core/fleet_types.h"
#include "scheduler/core/replica_progress.h"
#include "scheduler/core/rollout.h"
#include "scheduler/core/route_book.h"
#include "scheduler/core/worker_table.h"
#include "tidegate/v1/fleet.pb.h"

/// proto/tidegate/v1/fleet.proto <-> scheduler/core.
namespace tidegate::scheduler {

/// Fails: invalid_argument/bad_report naming the field.
Result<WorkerReport> read_report(const v1::WorkerReport& message);
v1::WorkerReport to_message(const WorkerReport& report);

/// Fails: invalid_argument/bad_report naming the field.
Result<DemandReport> read_demand(const v1::DemandReport& message);

v1::Routes to_message(const RouteSnapshot& snapshot);

/// Defaults filled in; not yet checked against the catalogue.
Deployment read_deployment(const v1::Deployment& message);
v1::Deployment to_message(const Deployment& deployment, const DeploymentStatus& status);
/// What its scaling decided last; null: nothing yet.
void add_autoscale(v1::Deployment& message, std::int32_t replicas_wanted, const AutoscaleDecision* decision);

/// Where its new revision is; nothing without a rollout.
void add_rollout(v1::Deployment& message, const Deployment& deployment, const RolloutTargets& targets,
                 std::int32_t candidate_ready);
v1::ReplicaProgress to_message(const ReplicaProgress& progress);

v1::CatalogueModel to_message(const CatalogueModel& model);
v1::WorkerInfo to_message(const WorkerTable::Worker& worker, Mono now, std::int32_t restarts);

}  // namespace tidegate::scheduler
