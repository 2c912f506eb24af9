#pragma once

#include "billing/rpc/admin_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/pricing.grpc.pb.h"

namespace tidegate::billing {

/// Withdrawal and preview of prices, and allowances; see proto/tidegate/v1/pricing.proto for the contract.
class PricingService final : public v1::Pricing::CallbackService {
 public:
  PricingService(const ServiceContext& context, rpc::WorkPool& workers) : context_(context), host_(context, workers) {}

  grpc::ServerUnaryReactor* WithdrawPrice(grpc::CallbackServerContext* call, const v1::WithdrawPriceRequest* request,
                                          v1::WithdrawPriceResponse* response) override;
  grpc::ServerUnaryReactor* PreviewPrices(grpc::CallbackServerContext* call, const v1::PreviewPricesRequest* request,
                                          v1::PreviewPricesResponse* response) override;
  grpc::ServerUnaryReactor* LoadAllowances(grpc::CallbackServerContext* call, const v1::LoadAllowancesRequest* request,
                                           v1::LoadAllowancesResponse* response) override;
  grpc::ServerUnaryReactor* ListAllowances(grpc::CallbackServerContext* call, const v1::ListAllowancesRequest* request,
                                           v1::ListAllowancesResponse* response) override;

 private:
  Result<v1::WithdrawPriceResponse> withdraw(const v1::WithdrawPriceRequest& request, const AdminCall& call);
  Result<v1::PreviewPricesResponse> preview(const v1::PreviewPricesRequest& request, const AdminCall& call);

  const ServiceContext& context_;
  AdminHost host_;
};

}  // namespace tidegate::billing
