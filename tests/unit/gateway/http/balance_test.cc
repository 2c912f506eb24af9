#include <gtest/gtest.h>

#include "base/json/json.h"
#include "gateway/http/deepseek_balance.h"
#include "tests/support/counted.h"
#include "tests/unit/gateway/http/api_harness.h"

namespace tidegate::gateway::test {
namespace {

Money money(const char* text) { return Money::parse(text).value(); }

/// Keys have this scope only when it was asked for.
KeyPolicy usage_too() {
  KeyPolicy policy;
  policy.scopes.add(KeyScope::kUsage);
  return policy;
}

TEST(DeepSeekBalance, IsTheirShapeWithExactStringsThatAddUp) {
  const Balances::Balance balance{
      .currency = "USD", .granted = money("1.5"), .topped_up = money("100.000091652"), .is_available = true};
  EXPECT_EQ(deepseek_balance(balance),
            R"({"is_available":true,"balance_infos":[{"currency":"USD","total_balance":"101.500091652",)"
            R"("granted_balance":"1.50","topped_up_balance":"100.000091652"}]})");
}

TEST(DeepSeekBalance, CreditInUseIsBelowZero) {
  const Balances::Balance balance{.currency = "CNY", .granted = {}, .topped_up = money("-3"), .is_available = false};
  EXPECT_EQ(deepseek_balance(balance),
            R"({"is_available":false,"balance_infos":[{"currency":"CNY","total_balance":"-3.00",)"
            R"("granted_balance":"0.00","topped_up_balance":"-3.00"}]})");
}

TEST(BalanceRoute, TellsTheWalletOfTheKeyThatAsks) {
  ApiHarness api;
  const auto principal = api.principals.add("rich-key", {}, usage_too());
  Balances::Balance balance;
  balance.currency = "USD";
  balance.topped_up = money("5");
  balance.is_available = true;
  balance.age = std::chrono::milliseconds(7'900);
  api.balances.set(principal->tenant, principal->wallet, balance);
  for (const char* path : {"/user/balance", "/v1/user/balance"}) {
    const auto response = api.fetch("GET", path, "", {{"Authorization", "Bearer rich-key"}});
    ASSERT_EQ(response.status, 200) << response.body;
    const auto parsed = json::parse(response.body);
    ASSERT_TRUE(parsed) << response.body;
    EXPECT_EQ(parsed->at("balance_infos").at(0).at("total_balance"), "5.00");
    EXPECT_TRUE(Uuid::parse(response.header("x-request-id")).has_value());
    EXPECT_EQ(response.header("Age"), "7");
  }
  EXPECT_EQ(tidegate::test::counted(api.registry, 2, "tidegate_gateway_requests_total",
                                    {{"model", ""}, {"surface", "http.balance"}, {"status", "200"}}),
            2);
}

TEST(BalanceRoute, NeedsAKeyAndSaysWhenBillingIsOutOfReach) {
  ApiHarness api;
  api.principals.add("usage-key", {}, usage_too());
  const HttpHeaders usage{{"Authorization", "Bearer usage-key"}};
  EXPECT_EQ(api.fetch("GET", "/user/balance", "", {{"Authorization", "Bearer wrong"}}).status, 401);
  const auto plain = api.fetch("GET", "/user/balance");
  EXPECT_EQ(plain.status, 403) << "a key that names no scopes is for inference";
  EXPECT_NE(plain.body.find("scope_not_allowed"), std::string::npos) << plain.body;
  EXPECT_EQ(api.fetch("POST", "/user/balance", "{}").status, 405);
  api.balances.fail_next(Error(Code::kUnavailable, "rpc_unavailable", "Billing does not answer."));
  const auto response = api.fetch("GET", "/user/balance", "", usage);
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.header("Retry-After"), "1");
}

}  // namespace
}  // namespace tidegate::gateway::test
