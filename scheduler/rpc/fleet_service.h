#pragma once

#include <string>

#include "base/core/log.h"
#include "base/rpc/auth_gate.h"
#include "base/rpc/tls.h"
#include "scheduler/control/fleet_control.h"
#include "tidegate/v1/fleet.grpc.pb.h"

namespace tidegate::scheduler {

/// What workers and gateways call; see proto/tidegate/v1/fleet.proto. Streams are handed to the control's executor. Each
/// method is for one role: a gateway's certificate registers no worker, for requests and their keys would follow.
/// The control outlives the service, and is stopped before the server is drained.
class FleetService final : public v1::Fleet::CallbackService {
 public:
  FleetService(FleetControl& control, const rpc::AuthGate& gate, Log& log)
      : control_(control),
        worker_gate_(gate.for_roles({std::string(rpc::kWorkerRole)})),
        gateway_gate_(gate.for_roles({std::string(rpc::kGatewayRole)})),
        log_(log) {}

  grpc::ServerBidiReactor<v1::WorkerReport, v1::WorkerCommand>* WorkerLink(grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::Routes>* WatchRoutes(grpc::CallbackServerContext* context,
                                                    const v1::WatchRoutesRequest* request) override;
  grpc::ServerUnaryReactor* ReportDemand(grpc::CallbackServerContext* context, const v1::DemandReport* request,
                                         v1::DemandAck* response) override;

 private:
  FleetControl& control_;
  const rpc::AuthGate worker_gate_;
  const rpc::AuthGate gateway_gate_;
  Log& log_;
};

}  // namespace tidegate::scheduler
