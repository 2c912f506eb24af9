#include <utility>

#include "base/rpc/client.h"
#include "gateway/adapters/billing_accounts.h"
#include "gateway/adapters/billing_channel.h"
#include "tidegate/v1/balance.grpc.pb.h"

namespace tidegate::gateway {
namespace {

using BalancesApi = class v1::BalanceLookup::Stub::async;

class BillingBalances final : public Balances {
 public:
  BillingBalances(std::shared_ptr<rpc::Channel> channel, const Clock& clock, Duration call_limit)
      : client_(std::move(channel)), clock_(clock), call_limit_(call_limit) {}

  awaitable<Result<Balance>> find(TenantId tenant, WalletId wallet) override {
    v1::FindBalanceRequest request;
    request.set_tenant_id(std::string(tenant.raw()));
    request.set_wallet_id(std::string(wallet.raw()));
    const Deadline limit = Deadline::after(clock_.mono(), call_limit_);
    auto call = client_.call(&BalancesApi::FindBalance, std::move(request), limit);
    TG_CO_ASSIGN(const auto found, co_await std::move(call));
    Balance balance;
    balance.currency = found.currency();
    TG_CO_ASSIGN(balance.granted, Money::parse(found.granted()));
    TG_CO_ASSIGN(balance.topped_up, Money::parse(found.topped_up()));
    balance.is_available = found.is_available();
    co_return balance;
  }

 private:
  rpc::Client<v1::BalanceLookup> client_;
  const Clock& clock_;
  const Duration call_limit_;
};

}  // namespace

Result<std::unique_ptr<Balances>> connect_balances(const std::string& address, const std::string& token,
                                                   const Clock& clock, const RpcTlsOptions& tls, Duration call_limit) {
  TG_ASSIGN(auto channel, billing_channel(address, token, tls));
  return std::make_unique<BillingBalances>(std::move(channel), clock, call_limit);
}

}  // namespace tidegate::gateway
