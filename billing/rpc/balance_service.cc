#include "billing/rpc/balance_service.h"

#include "billing/adapters/balance_view.h"

namespace tidegate::billing {

grpc::ServerUnaryReactor* BalanceLookupService::FindBalance(grpc::CallbackServerContext* call,
                                                            const v1::FindBalanceRequest* request,
                                                            v1::WalletBalance* response) {
  return host_.serve(call, response, [this, request](const rpc::ServerCall& c) -> Result<v1::WalletBalance> {
    TG_ASSIGN(const auto tenant, TenantId::from_bytes(request->tenant_id()));
    TG_ASSIGN(const auto wallet, WalletId::from_bytes(request->wallet_id()));
    const Wall now = context_.clock.wall();
    auto job = [&](pqxx::work& tx) { return find_balance(tx, tenant, wallet, now); };
    TG_ASSIGN(const auto found, context_.pool.run_blocking(c.deadline(), job));
    v1::WalletBalance out;
    out.set_currency(found.currency);
    out.set_granted(found.granted.to_string());
    out.set_topped_up(found.topped_up.to_string());
    out.set_is_available(found.is_available());
    return out;
  });
}

}  // namespace tidegate::billing
