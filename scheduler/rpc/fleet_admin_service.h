#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "scheduler/control/fleet_control.h"
#include "scheduler/core/plan/deployment_plan.h"
#include "scheduler/core/ports.h"
#include "scheduler/rpc/fleet_admin_host.h"
#include "tidegate/v1/fleet.grpc.pb.h"

namespace tidegate::scheduler {

/// What people and the command line call; see proto/tidegate/v1/fleet.proto. Reads run on the control's executor, writes
/// on a thread that may wait for the database and then tell the control. Every change is in the log with its actor.
class FleetAdminService final : public v1::FleetAdmin::CallbackService {
 public:
  /// `planner` says what a deployment would be.
  FleetAdminService(FleetControl& control, const Catalogue& catalogue, const DeploymentPlanner& planner,
                    DeploymentStore& store, const Clock& clock, Log& log, FleetAdminHost& host)
      : control_(control), catalogue_(catalogue), planner_(planner), store_(store), clock_(clock), log_(log), host_(host) {}

  using Call = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* ListModels(Call*, const v1::ListCatalogueRequest*, v1::ListCatalogueResponse*) override;
  Reactor* ListDeployments(Call*, const v1::ListDeploymentsRequest*, v1::ListDeploymentsResponse*) override;
  Reactor* ApplyDeployment(Call*, const v1::Deployment*, v1::Deployment*) override;
  Reactor* DeleteDeployment(Call*, const v1::DeleteDeploymentRequest*, v1::DeleteDeploymentResponse*) override;
  Reactor* ListWorkers(Call*, const v1::ListWorkersRequest*, v1::ListWorkersResponse*) override;
  Reactor* PlanDeployment(Call*, const v1::PlanDeploymentRequest*, v1::DeploymentPlan*) override;
  Reactor* ChangeRollout(Call*, const v1::ChangeRolloutRequest*, v1::Deployment*) override;

  /// Tells the control what is stored of a deployment: a write found another version than `version`, which the control has.
  /// The answer to an earlier write was lost, and that one had been carried out. Waits for the database.
  void look_again(const std::string& name, std::int64_t version);

 private:
  /// What the fleet has of it, or nothing.
  Result<std::optional<Deployment>> find(const std::string& name);
  /// Region and pool of a deployment that leaves them to the scheduler: where it is, or the best that its placement allows.
  /// Fails: as check_deployment() and DeploymentPlanner::home_for(); unavailable/not_leader.
  Status choose_place(Deployment& wanted, const Deployment* current);
  /// Stores what `change` makes of the deployment as it is, again when somebody else changed it meanwhile; then it acts.
  /// change(const Deployment* current) -> Result<Deployment>.
  template <typename Change>
  Result<v1::Deployment> store_change(const FleetCall& call, const char* what, const std::string& name, Change change);
  /// Runs fn(const Fleet&) -> T on the control's executor and waits. Fails: unavailable/not_leader.
  template <typename T, typename Fn>
  Result<T> ask(Fn fn);

  FleetControl& control_;
  const Catalogue& catalogue_;
  const DeploymentPlanner& planner_;
  DeploymentStore& store_;
  const Clock& clock_;
  Log& log_;
  FleetAdminHost& host_;
};

}  // namespace tidegate::scheduler
