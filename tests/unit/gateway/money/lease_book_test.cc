#include <gtest/gtest.h>

#include "tests/support/sequential_ids.h"
#include "tests/unit/gateway/money/one_wallet.h"

namespace tidegate::gateway::lease_book_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Money money(std::string_view text) { return *Money::parse(text); }

struct LeaseBookTest : testing::Test {
  LeaseBook book{LeasePolicy{}};
  Mono now = Mono(seconds(1000));
  const LeaseId lease{tidegate::test::SequentialIds::make(1)};
  LeaseBook::Ticket next = 1;
  Money lease_amount;  // as billing counts

  LeaseBook::Actions ask(std::string_view amount) { return book.request(next++, money(amount), now + seconds(2), now); }
  LeaseBook::Actions grant(std::string_view amount, std::string_view available = "1000") {
    lease_amount += money(amount);
    return book.on_granted({.lease = lease,
                            .granted = money(amount),
                            .lease_amount = lease_amount,
                            .wallet_available = money(available),
                            .expires = now + seconds(60),
                            .renew_from = now + seconds(30)},
                           now);
  }
  LeaseBook::Actions refuse() {
    return book.on_refused(Error(Code::kResourceExhausted, "insufficient_balance", ""), now);
  }
  LeaseBook::Actions returned(const LeaseBook::Return& what) {
    lease_amount -= what.amount;
    return book.on_returned(now);
  }
};

TEST_F(LeaseBookTest, FirstRequestAcquiresAReserveAndAtLeastItself) {
  const auto actions = ask("1");
  ASSERT_TRUE(actions.acquire);
  EXPECT_EQ(actions.acquire->least, money("1"));
  EXPECT_GE(actions.acquire->want, money("4"));
  EXPECT_TRUE(actions.granted.empty());
  EXPECT_EQ(grant("5").granted.size(), 1u);
  EXPECT_EQ(book.held(), money("1"));
  EXPECT_EQ(book.free(), money("4"));
}

TEST_F(LeaseBookTest, WhileTheLeaseHasRoomAHoldNeedsNobody) {
  ask("1");
  grant("10");
  const auto actions = ask("1");
  EXPECT_FALSE(actions.acquire);
  ASSERT_EQ(actions.granted.size(), 1u);
  EXPECT_EQ(actions.granted[0].hold.amount, money("1"));
  EXPECT_EQ(actions.granted[0].hold.lease, lease);
}

TEST_F(LeaseBookTest, RefillsBeforeItRunsOut) {
  ask("1");
  grant("4");
  bool refilled = false;
  for (int i = 0; i < 3 && !refilled; ++i) {
    const auto actions = ask("1");
    EXPECT_EQ(actions.granted.size(), 1u) << "nobody waits for the refill";
    refilled = actions.acquire.has_value();
  }
  EXPECT_TRUE(refilled);
}

TEST_F(LeaseBookTest, ConcurrentWaitersShareOneAcquire) {
  ASSERT_TRUE(ask("1").acquire);
  for (int i = 0; i < 199; ++i) EXPECT_FALSE(ask("1").acquire);
  const auto first = grant("4");
  EXPECT_EQ(first.granted.size(), 4u);
  ASSERT_TRUE(first.acquire);
  EXPECT_GE(first.acquire->want, money("196")) << "the second call covers everybody";
  EXPECT_EQ(grant("400").granted.size(), 196u);
}

TEST_F(LeaseBookTest, SettlingFreesTheRestAndSpendsExactly) {
  ask("3");
  const auto granted = grant("3").granted.at(0);
  book.settle(granted.hold, money("1.25"), now);
  EXPECT_EQ(book.held(), Money());
  EXPECT_EQ(book.free(), money("1.75"));
  EXPECT_EQ(book.consumed(), money("1.25"));
}

TEST_F(LeaseBookTest, ShrinkingAHoldServesAWaiter) {
  ask("3");
  auto hold = grant("3").granted.at(0).hold;
  EXPECT_TRUE(ask("2").granted.empty());
  const auto actions = book.shrink(hold, money("1"), now);
  EXPECT_EQ(hold.amount, money("1"));
  EXPECT_EQ(actions.granted.size(), 1u);
}

TEST_F(LeaseBookTest, NoMoneyIsSaidOnlyAfterBillingSaidSo) {
  EXPECT_TRUE(ask("1").refused.empty());
  const auto actions = refuse();
  ASSERT_EQ(actions.refused.size(), 1u);
  EXPECT_EQ(actions.refused[0].error.reason, "insufficient_balance");
  EXPECT_EQ(actions.refused[0].error.code, Code::kResourceExhausted);
}

TEST_F(LeaseBookTest, AnEmptyWalletIsRememberedShortlyForRequestsAsDear) {
  ask("5");
  refuse();
  EXPECT_EQ(ask("5").refused.size(), 1u) << "no call for what was just denied";
  const auto cheaper = ask("1");
  EXPECT_TRUE(cheaper.acquire) << "a cheaper request may still fit";
  EXPECT_EQ(cheaper.acquire->least, money("1"));
  refuse();
  now += seconds(1);
  EXPECT_TRUE(ask("5").acquire) << "the memory is short";
}

TEST_F(LeaseBookTest, ATopUpIsForgottenDenial) {
  ask("5");
  refuse();
  book.on_top_up(now);
  EXPECT_TRUE(ask("5").acquire);
}

TEST_F(LeaseBookTest, RefusingTheHeadStillServesSmallerOnesBehindIt) {
  ask("5");
  ask("1");
  const auto actions = refuse();
  ASSERT_EQ(actions.refused.size(), 1u);
  EXPECT_EQ(actions.refused[0].ticket, 1u);
  ASSERT_TRUE(actions.acquire);
  EXPECT_EQ(actions.acquire->least, money("1"));
  EXPECT_EQ(actions.acquire->want, money("1")) << "near the end nothing is kept in reserve";
}

TEST_F(LeaseBookTest, NearTheEndExactlyWhatLacksIsAcquiredAndTheRestGoesBackAtOnce) {
  ask("1");
  const auto first = grant("1", "0.5");
  ASSERT_TRUE(book.is_tail());
  const auto settled = book.settle(first.granted.at(0).hold, money("0.2"), now);
  ASSERT_TRUE(settled.give_back);
  EXPECT_EQ(settled.give_back->amount, money("0.8"));
  EXPECT_EQ(settled.give_back->lease, lease);
  EXPECT_TRUE(book.free().is_zero()) << "money under way is nobody's to spend";
  const auto waiting = ask("1");
  EXPECT_FALSE(waiting.acquire) << "one call at a time";
  const auto next_call = returned(*settled.give_back);
  ASSERT_TRUE(next_call.acquire);
  EXPECT_EQ(next_call.acquire->want, money("1"));
}

TEST_F(LeaseBookTest, InTheTailLocalWaitersComeBeforeAReturn) {
  ask("1");
  const auto first = grant("1", "0");
  ask("0.5");
  ask("0.3");
  const auto settled = book.settle(first.granted.at(0).hold, money("0.2"), now);
  EXPECT_EQ(settled.granted.size(), 2u);
  EXPECT_FALSE(settled.give_back) << "the acquire for the waiters is still under way";
}

TEST_F(LeaseBookTest, WaitsEndAtTheirLimitAsOurFaultNotTheCustomers) {
  ask("1");
  now += seconds(2);
  const auto actions = book.tick(now);
  ASSERT_EQ(actions.refused.size(), 1u);
  EXPECT_EQ(actions.refused[0].error.reason, "billing_unreachable");
}

TEST_F(LeaseBookTest, NobodyWaitsForACallThatBillingHasNotAnsweredForLong) {
  ask("1");
  now += seconds(4);
  EXPECT_TRUE(ask("1").refused.empty()) << "it may come yet";
  now += seconds(1);
  const auto actions = ask("1");
  ASSERT_EQ(actions.refused.size(), 3u) << "all at once, those in the line as well";
  for (const auto& refused : actions.refused) EXPECT_EQ(refused.error.reason, "billing_unreachable");
  EXPECT_FALSE(actions.acquire) << "the call is under way still";
  EXPECT_TRUE(grant("10").granted.empty());
  EXPECT_EQ(ask("1").granted.size(), 1u) << "its answer ends it";
}

TEST_F(LeaseBookTest, AGrantThatComesAfterItsWaiterLeftStaysInReserve) {
  ask("1");
  now += seconds(2);
  book.tick(now);
  EXPECT_TRUE(grant("4").granted.empty());
  EXPECT_EQ(book.free(), money("4"));
  EXPECT_EQ(ask("1").granted.size(), 1u);
}

TEST_F(LeaseBookTest, IdleMoneyGoesBack) {
  ask("1");
  const auto granted = grant("5").granted.at(0);
  book.settle(granted.hold, money("1"), now);
  now += seconds(9);
  EXPECT_FALSE(book.tick(now).give_back);
  now += seconds(1);
  const auto actions = book.tick(now);
  ASSERT_TRUE(actions.give_back);
  EXPECT_EQ(actions.give_back->amount, money("4"));
}

TEST_F(LeaseBookTest, AnExpiredLeaseAdmitsNothingUntilItIsExtended) {
  ask("1");
  grant("10");
  now += seconds(61);
  const auto late = ask("1");
  EXPECT_TRUE(late.granted.empty());
  ASSERT_TRUE(late.acquire);
  EXPECT_EQ(late.acquire->least, money("1"));
  EXPECT_EQ(grant("1").granted.size(), 1u);
  EXPECT_EQ(book.held(), money("2"));
}

TEST_F(LeaseBookTest, ALeaseInUseIsRenewedBeforeItExpires) {
  ask("1");
  grant("10");
  now += seconds(29);
  ask("1");
  EXPECT_FALSE(book.tick(now).acquire);
  now += seconds(1);
  EXPECT_TRUE(book.tick(now).acquire);
}

TEST_F(LeaseBookTest, AHoldOutlivesTheExpiryOfItsLease) {
  ask("1");
  const auto granted = grant("1").granted.at(0);
  now += seconds(100);
  book.settle(granted.hold, money("1"), now);
  EXPECT_EQ(book.consumed(), money("1"));
}

TEST_F(LeaseBookTest, WhatBillingDoesNotKnowOfIsNeverSpent) {
  ask("1");
  const auto actions = book.on_granted({.lease = lease,
                                        .granted = money("5"),
                                        .lease_amount = money("2"),
                                        .wallet_available = money("1000"),
                                        .expires = now + seconds(60),
                                        .renew_from = now + seconds(30)},
                                       now);
  EXPECT_EQ(actions.granted.size(), 1u);
  EXPECT_EQ(book.free(), money("1"));
  EXPECT_EQ(book.mismatches(), 1u);
}

TEST_F(LeaseBookTest, AnotherLeaseNeverMixesWithTheMoneyOfTheFirst) {
  ask("2");
  const auto first = grant("400");
  const auto old = first.granted.at(0);
  ASSERT_FALSE(first.acquire) << "billing owes no answer";
  now += seconds(61);
  ask("1");
  const LeaseId other{tidegate::test::SequentialIds::make(2)};
  const auto actions = book.on_granted({.lease = other,
                                        .granted = money("1"),
                                        .lease_amount = money("1"),
                                        .wallet_available = money("1000"),
                                        .expires = now + seconds(60),
                                        .renew_from = now + seconds(30)},
                                       now);
  ASSERT_EQ(actions.granted.size(), 1u);
  EXPECT_EQ(actions.granted[0].hold.lease, other);
  EXPECT_TRUE(book.free().is_zero()) << "398 of the first lease were free and are gone with it";
  book.settle(old.hold, money("0.5"), now);
  EXPECT_TRUE(book.free().is_zero());
  EXPECT_EQ(book.mismatches(), 0u);
}

TEST_F(LeaseBookTest, AFaultOfBillingEndsEveryWaitAndIsNotAskedAgainAtOnce) {
  ask("1");
  ask("1");
  const auto actions = book.on_refused(Error(Code::kNotFound, "unknown_wallet", ""), now);
  EXPECT_EQ(actions.refused.size(), 2u);
  EXPECT_EQ(ask("1").refused.at(0).error.reason, "billing_unreachable");
  now += seconds(1);
  EXPECT_TRUE(ask("1").acquire);
}

TEST_F(LeaseBookTest, AnAnswerThatHasAlreadyExpiredIsNotAskedForInALoop) {
  ask("1");
  lease_amount += money("5");
  const auto actions = book.on_granted({.lease = lease,
                                        .granted = money("5"),
                                        .lease_amount = lease_amount,
                                        .wallet_available = money("1000"),
                                        .expires = now,
                                        .renew_from = now},
                                       now);
  EXPECT_FALSE(actions.acquire);
  EXPECT_EQ(actions.refused.size(), 1u);
}

TEST_F(LeaseBookTest, AFreeRequestNeedsNoLease) {
  const auto actions = ask("0");
  EXPECT_EQ(actions.granted.size(), 1u);
  EXPECT_FALSE(actions.acquire);
}

TEST_F(LeaseBookTest, TheQueueOfWaitersIsBounded) {
  LeasePolicy policy;
  policy.waiters_max = 2;
  LeaseBook small(policy);
  small.request(1, money("1"), now + seconds(1), now);
  small.request(2, money("1"), now + seconds(1), now);
  EXPECT_EQ(small.request(3, money("1"), now + seconds(1), now).refused.size(), 1u);
}

}  // namespace
}  // namespace tidegate::gateway::lease_book_test
