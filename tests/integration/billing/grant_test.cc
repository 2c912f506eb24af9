#include "base/pg/pool.h"
#include "billing/adapters/grant_store.h"
#include "tests/integration/billing/house.h"

namespace tidegate::billing {
namespace {

class Grants : public House {
 protected:
  v1::CreateGrantRequest wish(const std::string& amount, std::chrono::seconds life = std::chrono::hours(24 * 30)) {
    v1::CreateGrantRequest request;
    request.set_tenant("acme");
    request.set_amount(amount);
    request.set_expires_us(unix_micros(clock_.wall() + life));
    request.set_grant_id(ids_.next().to_string());
    return request;
  }
  v1::Grant give(const v1::CreateGrantRequest& request) {
    const auto made = budgets(&BudgetApi::CreateGrant, request);
    EXPECT_TRUE(made) << made.error().to_string();
    return made.value_or(v1::Grant());
  }
  v1::Grant now_of(const v1::Grant& grant) {
    const auto list = budgets(&BudgetApi::ListGrants, v1::ListGrantsRequest());
    for (const auto& one : list->grants()) {
      if (one.grant_id() == grant.grant_id()) return one;
    }
    return {};
  }
  Result<v1::Lease> acquire(const Customer& customer, std::uint64_t epoch, const std::string& amount) {
    return accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, amount));
  }
  /// As make_event, but of now: grants pay for what was admitted after they were given. 100 output tokens.
  v1::UsageEvent fresh_event(const Customer& customer, const v1::Lease& lease, std::uint64_t sequence) {
    v1::UsageEvent event = make_event(customer, lease, sequence, 0, 0, 100);
    const std::int64_t now = unix_micros(clock_.wall());
    event.set_admitted_us(now);
    event.set_started_us(now);
    event.set_completed_us(now);
    rate(event);
    return event;
  }
  Money amount_of(const v1::UsageEvent& event) { return Money::parse(event.amount()).value(); }
  std::size_t lapse_at(Wall now) {
    pg::Pool pool({.connection = config_.pg_dsn, .connections = 1});
    auto job = [&](pqxx::work& tx) -> Result<std::size_t> { return lapse_grants(tx, ids_, 100, now); };
    return pool.run_blocking(soon(), job).value();
  }
  std::string account_sum(const std::string& kind) {
    return Money::parse(query("SELECT coalesce(sum(e.amount), 0) FROM ledger_entries e JOIN ledger_accounts a ON a.id = e.account "
                              "WHERE a.kind = '" + kind + "'"))->to_string();
  }
};

TEST_F(Grants, AGrantIsSpendableAndIsUsedBeforePaidMoney) {
  const auto customer = make_customer("acme", "1");
  const auto grant = give(wish("0.0005"));
  EXPECT_EQ(wallet_of(customer).balance(), "1.0005");
  EXPECT_EQ(account_sum("promo_expense"), "0.0005");
  const auto epoch = open_epoch();
  const auto lease = acquire(customer, epoch, "0.5").value();
  const auto first = fresh_event(customer, lease, 1), second = fresh_event(customer, lease, 2);  // 0.0004 or 0.0008 each
  ASSERT_TRUE(submit(make_batch(epoch, {first, second})));
  EXPECT_EQ(now_of(grant).left(), "0");
  EXPECT_EQ(account_sum("prepaid"), (amount_of(first) + amount_of(second) - Money::parse("1.0005").value()).to_string());
  EXPECT_EQ(account_sum("grant"), "0");
  expect_reconciled();
}

TEST_F(Grants, TheLowerPriorityNumberThenTheEarlierEndIsUsedFirst) {
  const auto customer = make_customer("acme", "1");
  auto late = wish("0.001", std::chrono::hours(100)), early = wish("0.001", std::chrono::hours(50)), first = wish("0.0001");
  late.set_priority(5);
  early.set_priority(5);
  first.set_priority(1);
  const auto g_late = give(late), g_early = give(early), g_first = give(first);
  const auto epoch = open_epoch();
  const auto lease = acquire(customer, epoch, "0.5").value();
  const auto event = fresh_event(customer, lease, 1);
  ASSERT_TRUE(submit(make_batch(epoch, {event})));
  EXPECT_EQ(now_of(g_first).left(), "0");
  EXPECT_EQ(now_of(g_early).consumed(), (amount_of(event) - Money::parse("0.0001").value()).to_string());
  EXPECT_EQ(now_of(g_late).consumed(), "0");
  expect_reconciled();
}

TEST_F(Grants, ATenantWithOnlyAGrantCanUseItAndNoMore) {
  const auto customer = make_customer("acme", "0");
  give(wish("0.01"));
  const auto epoch = open_epoch();
  EXPECT_EQ(acquire(customer, epoch, "0.02").error().reason, "insufficient_balance");
  EXPECT_EQ(acquire(customer, epoch, "0.01")->wallet_available(), "0");
  expect_reconciled();
}

TEST_F(Grants, AGrantForOtherModelsPaysNothingAndBacksNoLease) {
  const auto customer = make_customer("acme", "0.01");
  auto restricted = wish("5");
  restricted.add_models("another-model");
  const auto grant = give(restricted);
  const auto epoch = open_epoch();
  EXPECT_EQ(acquire(customer, epoch, "0.02").error().reason, "insufficient_balance");
  const auto lease = acquire(customer, epoch, "0.01").value();
  ASSERT_TRUE(submit(make_batch(epoch, {fresh_event(customer, lease, 1)})));
  EXPECT_EQ(now_of(grant).consumed(), "0");
  expect_reconciled();
}

TEST_F(Grants, ARequestAdmittedAfterTheEndIsPaidByPaidMoneyAndTheRestLapses) {
  const auto customer = make_customer("acme", "1");
  const auto grant = give(wish("0.5", std::chrono::seconds(3600)));
  const auto epoch = open_epoch();
  const auto lease = acquire(customer, epoch, "0.5").value();
  force("UPDATE grants SET expires_at = now() - interval '1 hour', effective_at = now() - interval '2 hours'");
  ASSERT_TRUE(submit(make_batch(epoch, {fresh_event(customer, lease, 1)})));
  EXPECT_EQ(now_of(grant).consumed(), "0") << "the end is exclusive";
  EXPECT_EQ(lapse_at(clock_.wall()), 1u);
  EXPECT_EQ(lapse_at(clock_.wall()), 0u) << "once";
  EXPECT_EQ(now_of(grant).lapsed(), "0.5");
  EXPECT_EQ(account_sum("breakage"), "-0.5");
  expect_reconciled();
}

TEST_F(Grants, WhatLeasesHoldLapsesOnlyWhenItIsBack) {
  const auto customer = make_customer("acme", "0");
  const auto grant = give(wish("0.5"));
  const auto epoch = open_epoch();
  ASSERT_TRUE(acquire(customer, epoch, "0.3"));
  v1::VoidGrantRequest request;
  request.set_grant_id(grant.grant_id());
  EXPECT_EQ(budgets(&BudgetApi::VoidGrant, request)->lapsed(), "0.2");
  EXPECT_EQ(acquire(customer, epoch, "0.000000000001").error().reason, "insufficient_balance");
  EXPECT_EQ(budgets(&BudgetApi::VoidGrant, request)->lapsed(), "0.2") << "again takes nothing more";
  v1::CloseEpochRequest close;
  close.set_gateway_id("g1");
  close.set_epoch(epoch);
  ASSERT_TRUE(accounts(&AccountsApi::CloseEpoch, close));
  EXPECT_EQ(lapse_at(clock_.wall() + std::chrono::hours(1)), 1u);
  EXPECT_EQ(wallet_of(customer).balance(), "0");
  expect_reconciled();
}

TEST_F(Grants, ALeaseNeverOutlivesTheGrantItNeeds) {
  const auto customer = make_customer("acme", "0.1");
  give(wish("5", std::chrono::seconds(30)));  // ends before a lease of now would
  const auto epoch = open_epoch();
  EXPECT_EQ(acquire(customer, epoch, "0.2").error().reason, "insufficient_balance");
  EXPECT_TRUE(acquire(customer, epoch, "0.1"));
}

TEST_F(Grants, TheSameIdGivesOnceAndNonsenseIsRefusedByName) {
  const auto customer = make_customer("acme", "0");
  const auto request = wish("0.5");
  give(request);
  give(request);
  EXPECT_EQ(wallet_of(customer).balance(), "0.5");
  auto other = request;
  other.set_amount("0.6");
  EXPECT_EQ(budgets(&BudgetApi::CreateGrant, other).error().reason, "grant_differs");
  EXPECT_EQ(budgets(&BudgetApi::CreateGrant, wish("0")).error().field, "amount");
  EXPECT_EQ(budgets(&BudgetApi::CreateGrant, wish("1", std::chrono::seconds(-5))).error().field, "expires_us");
  auto late = wish("1");
  late.set_priority(5000);
  EXPECT_EQ(budgets(&BudgetApi::CreateGrant, late).error().field, "priority");
  force("UPDATE grants SET consumed = 0.1");
  EXPECT_EQ(broken_checks(), "I7");
}

TEST_F(Grants, TheCreditLimitGoesUpAtOnceAndNeverBelowWhatIsUsed) {
  const auto customer = make_customer("acme", "1");
  v1::SetCreditLimitRequest request;
  request.set_tenant("acme");
  request.set_credit_limit("2");
  EXPECT_EQ(budgets(&BudgetApi::SetCreditLimit, request)->available(), "3");
  const auto epoch = open_epoch();
  ASSERT_TRUE(acquire(customer, epoch, "2.5"));
  request.set_credit_limit("1");
  const auto refused = budgets(&BudgetApi::SetCreditLimit, request);
  EXPECT_EQ(refused.error().reason, "credit_in_use");
  EXPECT_NE(refused.error().message.find("cannot be below 1.5"), std::string::npos) << refused.error().message;
  request.set_credit_limit("1.5");
  EXPECT_EQ(budgets(&BudgetApi::SetCreditLimit, request)->available(), "0");
  request.set_credit_limit("-1");
  EXPECT_EQ(budgets(&BudgetApi::SetCreditLimit, request).error().field, "credit_limit");
}

}  // namespace
}  // namespace tidegate::billing
