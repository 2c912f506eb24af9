#include <gtest/gtest.h>

#include <future>

#include "tests/integration/gateway_money/rig.h"

namespace tidegate::gateway {
namespace {

using tidegate::test::eventually;
using std::chrono::seconds;

TEST_F(RealBilling, WhatTheAnswerSaidIsWhatTheLedgerSays) {
  auto gateway = open("gw-1");
  const auto amount = bill(*gateway, 100, 40, 50);
  ASSERT_TRUE(amount) << amount.error().to_string();
  EXPECT_TRUE(bill(*gateway, 10, 0, 0, Outcome::kFailed)->is_zero());
  EXPECT_TRUE(bill(*gateway, 7, 7, 3, Outcome::kCancelled));
  EXPECT_TRUE(gateway->end(seconds(20)));
  expect_billed();
}

TEST_F(RealBilling, TwoGatewaysSpendOneWalletToTheEndAndNoFurther) {
  auto first = open("gw-1");
  auto second = open("gw-2");
  // Worst case of each: 500,000 output at 4 or 8 a million: 2 or 4; the wallet has 10.
  int granted = 0;
  std::string reason;
  for (int i = 0; i < 12; ++i) {
    const auto amount = bill(i % 2 == 0 ? *first : *second, 0, 0, 500'000);
    if (amount) {
      ++granted;
    } else {
      reason = amount.error().reason;
    }
  }
  EXPECT_EQ(reason, "insufficient_balance");
  EXPECT_TRUE(granted == 5 || granted == 2) << granted;  // off-peak or peak, by the clock of the test run
  EXPECT_TRUE(first->end(seconds(20)));
  EXPECT_TRUE(second->end(seconds(20)));
  expect_billed();
}

TEST_F(RealBilling, ATopUpAndARevocationAreHeardOf) {
  customer = make_customer("poor", "0");
  auto gateway = open("gw-1");
  EXPECT_EQ(bill(*gateway, 100, 0, 100).error().reason, "insufficient_balance");
  v1::TopUpRequest top_up;
  top_up.set_tenant("poor");
  top_up.set_amount("10");
  ASSERT_TRUE(admin(&billing::AdminApi::TopUp, top_up));
  EXPECT_TRUE(eventually([&] { return bill(*gateway, 100, 0, 100).has_value(); }));
  v1::RevokeKeyRequest revoke;
  revoke.set_key_id(customer.key.key().public_id());
  ASSERT_TRUE(admin(&billing::AdminApi::RevokeKey, revoke));
  EXPECT_TRUE(eventually([&] { return !who(*gateway); }, seconds(5)));
  EXPECT_TRUE(gateway->end(seconds(20)));
  expect_billed();
}

TEST_F(RealBilling, BillingRestartsUnderLoadAndNothingIsLost) {
  auto gateway = open("gw-1");
  config_.grpc_listen = billing_->address();
  ASSERT_TRUE(bill(*gateway, 100, 0, 2000));
  std::atomic<bool> is_over = false;
  auto client = std::async(std::launch::async, [&] {
    int served = 0;
    while (!is_over || served < 50) served += bill(*gateway, 100, 50, 20) ? 1 : 0;
    return served;
  });
  for (int i = 0; i < 2; ++i) restart();
  is_over = true;
  EXPECT_GE(client.get(), 50);
  EXPECT_TRUE(gateway->end(seconds(30)));
  expect_billed();
}

TEST_F(RealBilling, TheNextLifeSettlesWhatTheLastOneLeft) {
  auto gateway = open("gw-1");
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(bill(*gateway, 100, 0, 20));
  gateway->end(Duration::zero());
  gateway.reset();
  gateway = open("gw-1");
  EXPECT_EQ(query("SELECT count(*) FROM epochs WHERE closed_at IS NULL"), "1");
  EXPECT_TRUE(bill(*gateway, 100, 0, 20));
  EXPECT_TRUE(gateway->end(seconds(20)));
  expect_billed();
  EXPECT_EQ(query("SELECT count(*) FROM epochs WHERE closed_at IS NULL"), "0");
}

}  // namespace
}  // namespace tidegate::gateway
