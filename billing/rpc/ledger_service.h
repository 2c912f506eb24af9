#pragma once

#include "billing/adapters/rerate.h"
#include "billing/rpc/admin_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/ledger.grpc.pb.h"

namespace tidegate::billing {

/// Corrections and re-rating for people and the command line; see proto/tidegate/v1/ledger.proto for the contract.
class LedgerService final : public v1::Ledger::CallbackService {
 public:
  LedgerService(const ServiceContext& context, rpc::WorkPool& workers) : context_(context), host_(context, workers) {}

  grpc::ServerUnaryReactor* Adjust(grpc::CallbackServerContext* call, const v1::AdjustRequest* request,
                                   v1::AdjustResponse* response) override;
  grpc::ServerUnaryReactor* Reverse(grpc::CallbackServerContext* call, const v1::ReverseRequest* request,
                                    v1::AdjustResponse* response) override;
  grpc::ServerUnaryReactor* Rerate(grpc::CallbackServerContext* call, const v1::RerateRequest* request,
                                   v1::RerateResponse* response) override;

 private:
  Result<v1::AdjustResponse> adjust_wallet(const v1::AdjustRequest& request, const AdminCall& call);
  Result<v1::AdjustResponse> reverse_tx(const v1::ReverseRequest& request, const AdminCall& call);
  Result<v1::RerateResponse> rerate(const v1::RerateRequest& request, const AdminCall& call);

  const ServiceContext& context_;
  UsageDimensions dimensions_;
  AdminHost host_;
};

}  // namespace tidegate::billing
