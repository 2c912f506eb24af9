#pragma once

#include "scheduler/control/fleet_control.h"
#include "scheduler/core/ports.h"
#include "scheduler/rpc/fleet_admin_host.h"
#include "tidegate/v1/fleet.grpc.pb.h"

namespace tidegate::scheduler {

/// What people and the command line call; see proto/tidegate/v1/fleet.proto. Reads run on the control's executor, writes
/// on a thread that may wait for the database and then tell the control. Every change is in the log with its actor.
class FleetAdminService final : public v1::FleetAdmin::CallbackService {
 public:
  FleetAdminService(FleetControl& control, const Catalogue& catalogue, DeploymentStore& store, const Clock& clock,
                    Log& log, FleetAdminHost& host)
      : control_(control), catalogue_(catalogue), store_(store), clock_(clock), log_(log), host_(host) {}

  using Call = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* ListModels(Call*, const v1::ListCatalogueRequest*, v1::ListCatalogueResponse*) override;
  Reactor* ListDeployments(Call*, const v1::ListDeploymentsRequest*, v1::ListDeploymentsResponse*) override;
  Reactor* ApplyDeployment(Call*, const v1::Deployment*, v1::Deployment*) override;
  Reactor* DeleteDeployment(Call*, const v1::DeleteDeploymentRequest*, v1::DeleteDeploymentResponse*) override;
  Reactor* ListWorkers(Call*, const v1::ListWorkersRequest*, v1::ListWorkersResponse*) override;

 private:
  /// Runs fn(const Fleet&) -> T on the control's executor and waits. Fails: unavailable/not_leader.
  template <typename T, typename Fn>
  Result<T> ask(Fn fn);

  FleetControl& control_;
  const Catalogue& catalogue_;
  DeploymentStore& store_;
  const Clock& clock_;
  Log& log_;
  FleetAdminHost& host_;
};

}  // namespace tidegate::scheduler
