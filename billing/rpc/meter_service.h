#pragma once

#include "base/rpc/unary_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/meter.grpc.pb.h"

namespace tidegate::billing {

/// The service workers call; see proto/tidegate/v1/meter.proto for the contract.
class MeterService final : public v1::WorkerMeter::CallbackService {
 public:
  MeterService(const ServiceContext& context, rpc::WorkPool& workers, rpc::AuthGate gate)
      : context_(context), host_(workers, std::move(gate)) {}

  grpc::ServerUnaryReactor* SubmitRecords(grpc::CallbackServerContext* call, const v1::WorkerRecordBatch* request,
                                          v1::WorkerRecordAck* response) override;

 private:
  Result<v1::WorkerRecordAck> submit(const v1::WorkerRecordBatch& request, Deadline deadline);

  const ServiceContext& context_;
  rpc::UnaryHost host_;
};

}  // namespace tidegate::billing
