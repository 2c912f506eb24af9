#include <gtest/gtest.h>

#include "tests/unit/gateway/money/money_world.h"

namespace tidegate::gateway {
namespace {

using test::eventually;
using test::FakeBilling;
using test::money;
using Call = FakeBilling::Call;

struct LeasingTest : test::MoneyWorld {
  void poor(std::string_view balance) {
    wallet = billing.add_wallet(money(balance));
    key_id = SequentialBytes(78);
    billing.add_key(key_for(wallet));
  }
};

TEST_F(LeasingTest, AnEmptyWalletIsRefusedOnceBillingSaidSo) {
  poor("0");
  begin_and_wait();
  const auto refused = admit(request());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_EQ(refused.error().reason, "insufficient_balance");
  EXPECT_EQ(billing.calls(Call::kAcquire), 1);
}

TEST_F(LeasingTest, ATopUpOpensTheDoorAgain) {
  poor("0");
  begin_and_wait();
  ASSERT_FALSE(admit(request()));
  billing.top_up(wallet, money("1"));
  ASSERT_TRUE(eventually([&] {
    auto charge = admit(request());
    return charge && settle(**charge, report(1, 1));
  }));
}

TEST_F(LeasingTest, TheWholeWalletCanBeSpentAndNotAPicoMore) {
  poor("0.02");  // ten worst cases of 0.002
  begin_and_wait();
  std::vector<std::unique_ptr<Charge>> charges;
  for (;;) {
    auto charge = admit(request());
    if (!charge) break;
    charges.push_back(*std::move(charge));
  }
  EXPECT_EQ(charges.size(), 10u);
  for (const auto& charge : charges) EXPECT_TRUE(settle(*charge, report(1000, 1000)));
  charges.clear();
  EXPECT_TRUE(drain());
  EXPECT_TRUE(billing.wallet(wallet).balance.is_zero());
  EXPECT_TRUE(billing.reconcile().empty());
}

TEST_F(LeasingTest, BillingAwayIsOurFaultAndSaysSo) {
  config.meter.lease_wait = std::chrono::milliseconds(50);
  begin_and_wait();
  billing.set_down(true);
  const auto refused = admit(request());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_EQ(refused.error().reason, "billing_unreachable");
}

TEST_F(LeasingTest, AnOpenLeaseServesWhileBillingIsAway) {
  begin_and_wait();
  auto first = admit(request());
  ASSERT_TRUE(first);
  billing.set_down(true);
  auto second = admit(request());
  ASSERT_TRUE(second);
  EXPECT_TRUE(settle(**first, report(1, 1)));
  EXPECT_TRUE(settle(**second, report(1, 1)));
  first->reset();
  second->reset();
  billing.set_down(false);
  EXPECT_TRUE(eventually([&] { return billing.events().size() == 2; }));
}

TEST_F(LeasingTest, ALostAnswerToAnAcquireMovesTheMoneyOnce) {
  begin_and_wait();
  billing.fail_next(Call::kAcquire, Error(Code::kUnavailable, "rpc_unavailable", ""), /*is_done=*/true, 2);
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  EXPECT_TRUE(settle(**charge, report(1, 1)));
  charge->reset();
  EXPECT_GE(billing.calls(Call::kAcquire), 3);
  EXPECT_EQ(metric("tidegate_gateway_lease_mismatches_total"), 0);
  EXPECT_TRUE(billing.reconcile().empty());
}

TEST_F(LeasingTest, IdleMoneyReturnsToTheWalletEvenIfTheAnswerIsLost) {
  config.leases.idle_return = std::chrono::milliseconds(1);
  begin_and_wait();
  auto charge = admit(request());
  ASSERT_TRUE(charge);
  EXPECT_TRUE(settle(**charge, report(100, 100)));
  charge->reset();
  billing.fail_next(Call::kReturn, Error(Code::kDeadlineExceeded, "rpc_deadline_exceeded", ""), true);
  EXPECT_TRUE(eventually([&] { return treasury->leases().free().is_zero() && billing.wallet(wallet).leased.is_zero(); }));
  EXPECT_EQ(billing.wallet(wallet).balance, money("100") - money("0.0002"));
}

TEST_F(LeasingTest, TwoHundredConcurrentRequestsNeedAHandfulOfCalls) {
  begin_and_wait();
  std::atomic<int> granted = 0;
  std::vector<AdmissionRequest> requests;
  for (int i = 0; i < 200; ++i) requests.push_back(request());
  for (int i = 0; i < 200; ++i) {
    auto work = [&, i]() -> awaitable<void> {
      AdmissionRequest mine = requests[static_cast<std::size_t>(i)];
      auto charge = co_await treasury->meter().admit(std::move(mine));
      if (!charge) co_return;
      auto settled = co_await (*charge)->settle(report(3, 4));
      if (settled) ++granted;
    };
    const std::size_t lane = 1 + static_cast<std::size_t>(i % 2);
    threads.post_on(lane, [this, work, lane] {
      // The lambda's captures live in the coroutine's argument, not in a temporary.
      auto own = [](auto body) -> awaitable<void> { co_await body(); };
      asio::co_spawn(threads.context(lane), own(work), asio::detached);
    });
  }
  EXPECT_TRUE(eventually([&] { return granted == 200; })) << granted;
  EXPECT_LE(billing.calls(Call::kAcquire), 12);
  EXPECT_TRUE(drain());
  EXPECT_EQ(billing.events().size(), 200u);
  EXPECT_TRUE(billing.wallet(wallet).leased.is_zero());
  EXPECT_TRUE(billing.reconcile().empty());
}

}  // namespace
}  // namespace tidegate::gateway
