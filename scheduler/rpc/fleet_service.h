#pragma once

#include "base/rpc/auth_gate.h"
#include "base/core/log.h"
#include "scheduler/control/fleet_control.h"
#include "tidegate/v1/fleet.grpc.pb.h"

namespace tidegate::scheduler {

/// What workers and gateways call; see proto/tidegate/v1/fleet.proto. Streams are handed to the control's executor.
/// The control outlives the service, and is stopped before the server is drained.
class FleetService final : public v1::Fleet::CallbackService {
 public:
  FleetService(FleetControl& control, rpc::AuthGate gate, Log& log) : control_(control), gate_(std::move(gate)), log_(log) {}

  grpc::ServerBidiReactor<v1::WorkerReport, v1::WorkerCommand>* WorkerLink(grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::Routes>* WatchRoutes(grpc::CallbackServerContext* context,
                                                    const v1::WatchRoutesRequest* request) override;
  grpc::ServerUnaryReactor* ReportDemand(grpc::CallbackServerContext* context, const v1::DemandReport* request,
                                         v1::DemandAck* response) override;

 private:
  FleetControl& control_;
  rpc::AuthGate gate_;
  Log& log_;
};

}  // namespace tidegate::scheduler
