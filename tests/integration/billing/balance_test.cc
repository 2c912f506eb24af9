#include "base/rpc/client.h"
#include "tests/integration/billing/house.h"
#include "tidegate/v1/balance.grpc.pb.h"

namespace tidegate::billing {
namespace {

using BalanceApi = class v1::BalanceLookup::Stub::async;

class Balances : public House {
 protected:
  Balances()
      : channel_(rpc::make_channel(billing_->address(), {.token = config_.cluster_token}).value()), client_(channel_) {}
  ~Balances() override { channel_->shut(); }

  Result<v1::WalletBalance> find(const Customer& owner, const Customer& wallet_of) {
    v1::FindBalanceRequest request;
    request.set_tenant_id(std::string(TenantId::parse(owner.tenant.tenant_id())->raw()));
    request.set_wallet_id(wallet_of.wallet_raw());
    return client_.call_blocking(&BalanceApi::FindBalance, std::move(request), soon());
  }
  Result<v1::WalletBalance> find(const Customer& owner) { return find(owner, owner); }
  v1::Grant give(const std::string& amount) {
    v1::CreateGrantRequest request;
    request.set_tenant("acme");
    request.set_amount(amount);
    request.set_expires_us(unix_micros(clock_.wall() + std::chrono::hours(24)));
    request.set_grant_id(ids_.next().to_string());
    const auto made = budgets(&BudgetApi::CreateGrant, request);
    EXPECT_TRUE(made) << made.error().to_string();
    return made.value_or(v1::Grant());
  }

  std::shared_ptr<rpc::Channel> channel_;
  rpc::Client<v1::BalanceLookup> client_;
};

TEST_F(Balances, PaidAndGivenMoneyAreToldApartAndLeasedMoneyIsStillThere) {
  const Customer acme = make_customer("acme", "5");
  give("0.5");
  const auto epoch = open_epoch();
  ASSERT_TRUE(accounts(&AccountsApi::AcquireLease, lease_request(acme, epoch, "2")));
  const auto balance = find(acme);
  ASSERT_TRUE(balance) << balance.error().to_string();
  EXPECT_EQ(balance->currency(), "USD");
  EXPECT_EQ(balance->granted(), "0.5");
  EXPECT_EQ(balance->topped_up(), "5");
  EXPECT_TRUE(balance->is_available());
}

TEST_F(Balances, AnEmptyWalletIsNotAvailable) {
  const Customer acme = make_customer("acme", "0");
  const auto balance = find(acme);
  ASSERT_TRUE(balance) << balance.error().to_string();
  EXPECT_EQ(balance->topped_up(), "0");
  EXPECT_FALSE(balance->is_available());
}

TEST_F(Balances, AVoidedGrantCountsAsNothingAlsoWhileItHasNotLapsed) {
  const Customer acme = make_customer("acme", "0");
  give("0.5");
  EXPECT_TRUE(find(acme)->is_available());
  force("UPDATE grants SET voided_at = now()");
  const auto balance = find(acme);
  ASSERT_TRUE(balance) << balance.error().to_string();
  EXPECT_EQ(balance->granted(), "0");
  EXPECT_EQ(balance->topped_up(), "0");
  EXPECT_FALSE(balance->is_available());
}

TEST_F(Balances, AnotherTenantsWalletDoesNotExist) {
  const Customer acme = make_customer("acme", "5");
  const Customer other = make_customer("other", "1");
  EXPECT_EQ(find(other, acme).error().reason, "unknown_wallet");
}

TEST_F(Balances, NeedTheClusterToken) {
  const auto channel = rpc::make_channel(billing_->address(), {.token = config_.admin_key}).value();
  rpc::Client<v1::BalanceLookup> client(channel);
  v1::FindBalanceRequest request;
  const auto answer = client.call_blocking(&BalanceApi::FindBalance, std::move(request), soon());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnauthenticated);
  channel->shut();
}

}  // namespace
}  // namespace tidegate::billing
