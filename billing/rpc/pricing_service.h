#pragma once

#include "base/rpc/unary_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/pricing.grpc.pb.h"

namespace tidegate::billing {

/// Withdrawal and preview of prices; see proto/tidegate/v1/pricing.proto for the contract.
class PricingService final : public v1::Pricing::CallbackService {
 public:
  PricingService(const ServiceContext& context, rpc::WorkPool& workers, rpc::AuthGate gate)
      : context_(context), host_(workers, std::move(gate)) {}

  grpc::ServerUnaryReactor* WithdrawPrice(grpc::CallbackServerContext* call, const v1::WithdrawPriceRequest* request,
                                          v1::WithdrawPriceResponse* response) override;
  grpc::ServerUnaryReactor* PreviewPrices(grpc::CallbackServerContext* call, const v1::PreviewPricesRequest* request,
                                          v1::PreviewPricesResponse* response) override;

 private:
  Result<v1::WithdrawPriceResponse> withdraw(const v1::WithdrawPriceRequest& request, const rpc::ServerCall& call);
  Result<v1::PreviewPricesResponse> preview(const v1::PreviewPricesRequest& request, const rpc::ServerCall& call);

  const ServiceContext& context_;
  rpc::UnaryHost host_;
};

}  // namespace tidegate::billing
