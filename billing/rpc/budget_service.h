#pragma once

#include "billing/rpc/admin_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/budget.grpc.pb.h"

namespace tidegate::billing {

/// Limits on spending, for people and the command line; see proto/tidegate/v1/budget.proto for the contract.
class BudgetService final : public v1::Budgets::CallbackService {
 public:
  BudgetService(const ServiceContext& context, rpc::WorkPool& workers) : context_(context), host_(context, workers) {}

  using Call = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* SetCap(Call*, const v1::SetCapRequest*, v1::Cap*) override;
  Reactor* RemoveCap(Call*, const v1::RemoveCapRequest*, v1::Cap*) override;
  Reactor* ListCaps(Call*, const v1::ListCapsRequest*, v1::ListCapsResponse*) override;
  Reactor* ListCapPeriods(Call*, const v1::ListCapPeriodsRequest*, v1::ListCapPeriodsResponse*) override;
  Reactor* CreateGrant(Call*, const v1::CreateGrantRequest*, v1::Grant*) override;
  Reactor* VoidGrant(Call*, const v1::VoidGrantRequest*, v1::Grant*) override;
  Reactor* ListGrants(Call*, const v1::ListGrantsRequest*, v1::ListGrantsResponse*) override;
  Reactor* SetCreditLimit(Call*, const v1::SetCreditLimitRequest*, v1::Wallet*) override;
  Reactor* ListAlerts(Call*, const v1::ListAlertsRequest*, v1::ListAlertsResponse*) override;
  Reactor* SetWebhook(Call*, const v1::SetWebhookRequest*, v1::Webhook*) override;

 private:
  /// One transaction per call: work(tx) -> Result<Response>; it may run more than once.
  template <typename Response, typename Work>
  Reactor* serve(Call* call, Response* response, Work work, const char* method = __builtin_FUNCTION());

  const ServiceContext& context_;
  AdminHost host_;
};

}  // namespace tidegate::billing
