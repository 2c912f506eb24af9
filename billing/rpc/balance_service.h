#pragma once

#include "base/rpc/unary_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/balance.grpc.pb.h"

namespace tidegate::billing {

/// Balances for gateways; see proto/tidegate/v1/balance.proto for the contract.
class BalanceLookupService final : public v1::BalanceLookup::CallbackService {
 public:
  BalanceLookupService(const ServiceContext& context, rpc::WorkPool& workers, rpc::AuthGate gate)
      : context_(context), host_(workers, std::move(gate)) {}

  grpc::ServerUnaryReactor* FindBalance(grpc::CallbackServerContext* call, const v1::FindBalanceRequest* request,
                                        v1::WalletBalance* response) override;

 private:
  const ServiceContext& context_;
  rpc::UnaryHost host_;
};

}  // namespace tidegate::billing
