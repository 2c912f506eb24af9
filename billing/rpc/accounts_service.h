#pragma once

#include "base/rpc/unary_host.h"
#include "billing/adapters/usage_dimensions.h"
#include "billing/rpc/context.h"
#include "billing/rpc/watch_hub.h"
#include "tidegate/v1/billing.grpc.pb.h"

namespace tidegate::billing {

/// The service gateways call; see proto/tidegate/v1/billing.proto for the contract. Handlers block on the database, on
/// the worker pool's threads.
class AccountsService final : public v1::Accounts::CallbackService {
 public:
  AccountsService(const ServiceContext& context, rpc::WorkPool& workers, rpc::AuthGate gate, WatchHub& hub)
      : context_(context), host_(workers, std::move(gate)), hub_(hub) {}

  grpc::ServerWriteReactor<v1::AccountsUpdate>* Watch(grpc::CallbackServerContext* call,
                                                      const v1::WatchAccountsRequest* request) override;
  grpc::ServerUnaryReactor* OpenEpoch(grpc::CallbackServerContext* call, const v1::OpenEpochRequest* request,
                                      v1::OpenEpochResponse* response) override;
  grpc::ServerUnaryReactor* CloseEpoch(grpc::CallbackServerContext* call, const v1::CloseEpochRequest* request,
                                       v1::CloseEpochResponse* response) override;
  grpc::ServerUnaryReactor* AcquireLease(grpc::CallbackServerContext* call, const v1::AcquireLeaseRequest* request,
                                         v1::Lease* response) override;
  grpc::ServerUnaryReactor* ReturnLease(grpc::CallbackServerContext* call, const v1::ReturnLeaseRequest* request,
                                        v1::Lease* response) override;
  grpc::ServerUnaryReactor* SubmitUsage(grpc::CallbackServerContext* call, const v1::UsageBatch* request,
                                        v1::UsageAck* response) override;

 private:
  Result<v1::OpenEpochResponse> open_epoch_for(const v1::OpenEpochRequest& request, Deadline deadline);
  Result<v1::Lease> acquire(const v1::AcquireLeaseRequest& request, Deadline deadline);
  Result<v1::Lease> acquire_of_cap(const v1::AcquireLeaseRequest& request, Deadline deadline);
  Result<v1::Lease> give_back(const v1::ReturnLeaseRequest& request, Deadline deadline);
  Result<v1::UsageAck> submit(const v1::UsageBatch& request, Deadline deadline);

  const ServiceContext& context_;
  UsageDimensions dimensions_;
  rpc::UnaryHost host_;
  WatchHub& hub_;
};

}  // namespace tidegate::billing
