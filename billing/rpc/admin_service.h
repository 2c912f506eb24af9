#pragma once

#include "billing/rpc/admin_host.h"
#include "billing/rpc/context.h"
#include "tidegate/v1/admin.grpc.pb.h"

namespace tidegate::billing {

/// The service people and the command line call; see proto/tidegate/v1/admin.proto for the contract.
class AdminService final : public v1::BillingAdmin::CallbackService {
 public:
  AdminService(const ServiceContext& context, rpc::WorkPool& workers) : context_(context), host_(context, workers) {}

  using Call = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* CreateTenant(Call*, const v1::CreateTenantRequest*, v1::Tenant*) override;
  Reactor* ListTenants(Call*, const v1::ListTenantsRequest*, v1::ListTenantsResponse*) override;
  Reactor* SuspendTenant(Call*, const v1::SuspendTenantRequest*, v1::Tenant*) override;
  Reactor* SetTenantRegions(Call*, const v1::SetTenantRegionsRequest*, v1::Tenant*) override;
  Reactor* SetTenantShare(Call*, const v1::SetTenantShareRequest*, v1::Tenant*) override;
  Reactor* CreateProject(Call*, const v1::CreateProjectRequest*, v1::Project*) override;
  Reactor* ListProjects(Call*, const v1::ListProjectsRequest*, v1::ListProjectsResponse*) override;
  Reactor* CreateKey(Call*, const v1::CreateKeyRequest*, v1::CreateKeyResponse*) override;
  Reactor* ListKeys(Call*, const v1::ListKeysRequest*, v1::ListKeysResponse*) override;
  Reactor* RevokeKey(Call*, const v1::RevokeKeyRequest*, v1::ApiKey*) override;
  Reactor* RotateKey(Call*, const v1::RotateKeyRequest*, v1::RotateKeyResponse*) override;
  Reactor* CreateAdminKey(Call*, const v1::CreateAdminKeyRequest*, v1::CreateAdminKeyResponse*) override;
  Reactor* ListAdminKeys(Call*, const v1::ListAdminKeysRequest*, v1::ListAdminKeysResponse*) override;
  Reactor* RevokeAdminKey(Call*, const v1::RevokeAdminKeyRequest*, v1::AdminKey*) override;
  Reactor* ListWallets(Call*, const v1::ListWalletsRequest*, v1::ListWalletsResponse*) override;
  Reactor* TopUp(Call*, const v1::TopUpRequest*, v1::Wallet*) override;
  Reactor* LoadPrices(Call*, const v1::LoadPricesRequest*, v1::LoadPricesResponse*) override;
  Reactor* ListPrices(Call*, const v1::ListPricesRequest*, v1::ListPricesResponse*) override;
  Reactor* ListUsage(Call*, const v1::ListUsageRequest*, v1::ListUsageResponse*) override;
  Reactor* SumUsage(Call*, const v1::SumUsageRequest*, v1::SumUsageResponse*) override;
  Reactor* ListLedger(Call*, const v1::ListLedgerRequest*, v1::ListLedgerResponse*) override;
  Reactor* Reconcile(Call*, const v1::ReconcileRequest*, v1::ReconcileResponse*) override;

 private:
  /// One transaction per call: work(tx) -> Result<Response>. What it needs besides `tx` (ids, secrets, the time) is
  /// made before, since a transaction may run more than once.
  template <typename Response, typename Work>
  Reactor* serve(Call* call, Response* response, Work work, const char* method = __builtin_FUNCTION());

  const ServiceContext& context_;
  AdminHost host_;
};

}  // namespace tidegate::billing
