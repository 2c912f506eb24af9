#include <atomic>
#include <set>
#include <thread>

#include "base/crypto/end_user.h"
#include "tests/integration/billing/house.h"

namespace tidegate::billing {
namespace {

class Cap : public House {
 protected:
  v1::SetCapRequest wish(const std::string& amount, const std::string& period = "daily") {
    v1::SetCapRequest request;
    request.set_tenant("acme");
    request.set_amount(amount);
    request.set_period(period);
    return request;
  }
  v1::Cap set(const v1::SetCapRequest& request) {
    const auto made = budgets(&BudgetApi::SetCap, request);
    EXPECT_TRUE(made) << made.error().to_string();
    return made.value_or(v1::Cap());
  }
  v1::AcquireLeaseRequest want_of(const v1::Cap& cap, std::uint64_t epoch, const std::string& want,
                                  const std::string& gateway = "g1") {
    v1::AcquireLeaseRequest request;
    request.set_gateway_id(gateway);
    request.set_epoch(epoch);
    request.set_cap_id(std::string(Uuid::parse(cap.cap_id())->raw()));
    request.set_want(want);
    request.set_least(want);
    request.set_grant_id(raw_uuid());
    return request;
  }
  Result<v1::Lease> acquire(v1::AcquireLeaseRequest request) {
    return accounts(&AccountsApi::AcquireLease, std::move(request));
  }
  v1::CapSpend spend_of(const v1::Cap& cap) {
    v1::ListCapPeriodsRequest request;
    request.set_cap_id(cap.cap_id());
    const auto list = budgets(&BudgetApi::ListCapPeriods, request);
    return list && list->periods_size() > 0 ? list->periods(0) : v1::CapSpend();
  }
  Status close(std::uint64_t epoch, std::uint64_t last, const std::string& gateway = "g1") {
    v1::CloseEpochRequest request;
    request.set_gateway_id(gateway);
    request.set_epoch(epoch);
    request.set_last_sequence(last);
    auto closed = accounts(&AccountsApi::CloseEpoch, std::move(request));
    if (!closed) return fail(closed.error());
    return {};
  }
};

TEST_F(Cap, ALeaseIsTakenOutOfThePeriodAndTheRefusalSaysWhichCapAndWhenItResets) {
  make_customer("acme", "10");
  auto request = wish("2");
  request.set_project("default");
  const auto cap = set(request);
  const auto epoch = open_epoch();
  const auto lease = acquire(want_of(cap, epoch, "1.5"));
  ASSERT_TRUE(lease) << lease.error().to_string();
  EXPECT_EQ(lease->wallet_available(), "0.5");
  EXPECT_GT(lease->period_end_us(), unix_micros(clock_.wall()));
  const auto refused = acquire(want_of(cap, epoch, "0.6"));
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_EQ(refused.error().reason, "budget_exceeded");
  EXPECT_NE(
      refused.error().message.find("the daily cap of this project (default) is 2 USD; 0.5 of it is left, less than"),
      std::string::npos)
      << refused.error().message;
  EXPECT_NE(refused.error().message.find("resets at 20"), std::string::npos) << refused.error().message;
  EXPECT_EQ(acquire(want_of(cap, epoch, "0.5"))->amount(), "2");
  EXPECT_EQ(spend_of(cap).leased(), "2");
  expect_reconciled();
}

TEST_F(Cap, UsageIsChargedToEveryLeaseItNamesAndTheRestComesBack) {
  const auto customer = make_customer("acme", "10");
  const auto tenant_cap = set(wish("2", "monthly"));
  auto request = wish("1");
  request.set_key(customer.key.key().public_id());
  const auto key_cap = set(request);
  const auto epoch = open_epoch();
  const auto wallet = accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, "1")).value();
  const auto of_tenant = acquire(want_of(tenant_cap, epoch, "0.5")).value();
  const auto of_key = acquire(want_of(key_cap, epoch, "0.25")).value();
  auto event = make_event(customer, wallet, 1);  // 0.00072
  event.add_cap_lease_ids(of_tenant.lease_id());
  event.add_cap_lease_ids(of_key.lease_id());
  const auto batch = make_batch(epoch, {event});
  ASSERT_TRUE(submit(batch));
  ASSERT_TRUE(submit(batch)) << "told again, charged once";
  EXPECT_EQ(spend_of(tenant_cap).spent(), "0.00072");
  EXPECT_EQ(spend_of(key_cap).leased(), "0.24928");
  expect_reconciled();

  v1::ReturnLeaseRequest back;
  back.set_gateway_id("g1");
  back.set_epoch(epoch);
  back.set_lease_id(of_key.lease_id());
  back.set_amount("0.2");
  back.set_return_id(raw_uuid());
  back.set_is_cap_lease(true);
  EXPECT_EQ(accounts(&AccountsApi::ReturnLease, back)->granted(), "-0.2");
  EXPECT_EQ(accounts(&AccountsApi::ReturnLease, back)->amount(), "0.05") << "the same return counts once";
  EXPECT_EQ(spend_of(key_cap).leased(), "0.04928");
  back.set_return_id(raw_uuid());
  EXPECT_EQ(accounts(&AccountsApi::ReturnLease, back).error().reason, "lease_overdrawn");
  ASSERT_TRUE(close(epoch, 1));
  EXPECT_EQ(spend_of(key_cap).leased(), "0");
  EXPECT_EQ(spend_of(tenant_cap).leased(), "0");
  EXPECT_EQ(spend_of(tenant_cap).spent(), "0.00072");
  expect_reconciled();
}

TEST_F(Cap, TheSameGrantMovesOnceAndForeignOrOverdrawnLeasesAreRefused) {
  const auto customer = make_customer("acme", "10");
  const auto other = make_customer("other", "10");
  const auto cap = set(wish("1"));
  const auto epoch = open_epoch();
  const auto request = want_of(cap, epoch, "0.0005");
  const auto lease = acquire(request).value();
  EXPECT_EQ(acquire(request)->lease_id(), lease.lease_id());
  EXPECT_EQ(spend_of(cap).leased(), "0.0005");
  const auto wallet = accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, "1")).value();
  auto event = make_event(customer, wallet, 1);  // 0.00072
  event.add_cap_lease_ids(lease.lease_id());
  EXPECT_EQ(submit(make_batch(epoch, {event})).error().reason, "lease_overdrawn");
  const auto theirs = accounts(&AccountsApi::AcquireLease, lease_request(other, epoch, "1")).value();
  auto foreign = make_event(other, theirs, 1, 1, 0, 1);
  foreign.add_cap_lease_ids(lease.lease_id());
  EXPECT_EQ(submit(make_batch(epoch, {foreign})).error().reason, "unknown_lease");
  foreign.add_cap_lease_ids(lease.lease_id());
  EXPECT_EQ(submit(make_batch(epoch, {foreign})).error().reason, "bad_event") << "a lease twice";
  expect_reconciled();
}

TEST_F(Cap, ConcurrentGatewaysNeverGetMoreThanTheLimit) {
  make_customer("acme", "100");
  const auto cap = set(wish("1", "total"));
  std::vector<std::uint64_t> epochs;
  for (int g = 0; g < 4; ++g) epochs.push_back(open_epoch("g" + std::to_string(g)));
  std::atomic<int> granted = 0, refused = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&, i] {
      const auto lease =
          acquire(want_of(cap, epochs[static_cast<std::size_t>(i % 4)], "0.03", "g" + std::to_string(i % 4)));
      if (lease) ++granted;
      if (!lease && lease.error().reason == "budget_exceeded") ++refused;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(granted, 33);
  EXPECT_EQ(refused, 31);
  expect_reconciled();
}

TEST_F(Cap, AnEndUserSeenForTheFirstTimeHasItsCapInTheSameStep) {
  make_customer("acme", "100");
  auto request = wish("0.1");
  request.set_every_user(true);
  const auto cap = set(request);
  const auto epoch = open_epoch();
  EXPECT_EQ(acquire(want_of(cap, epoch, "0.06")).error().reason, "bad_end_user");
  const auto tenant = TenantId::parse(cap.tenant_id()).value();
  std::atomic<int> granted = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      auto wanted = want_of(cap, epoch, "0.06");
      wanted.set_end_user(std::string(end_user_id(config_.pepper, tenant, i % 2 == 0 ? "ann" : "bob").raw()));
      granted += acquire(wanted) ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(granted, 2) << "one each: 0.06 fits once into 0.1";
  EXPECT_EQ(query("SELECT count(*) FROM cap_periods"), "2");
  EXPECT_EQ(query("SELECT count(*) FROM caps c WHERE c::text LIKE '%ann%'"), "0") << "the text is not stored";
  expect_reconciled();
}

TEST_F(Cap, ALowerLimitStopsWhatIsNotOutYetAndAHigherOneFreesAtOnce) {
  make_customer("acme", "100");
  const auto cap = set(wish("1"));
  const auto epoch = open_epoch();
  ASSERT_TRUE(acquire(want_of(cap, epoch, "0.5")));
  EXPECT_EQ(set(wish("0.2")).cap_id(), cap.cap_id()) << "the same subject and period is the same cap";
  EXPECT_EQ(spend_of(cap).allowed(), "0.5") << "what is out stays out";
  EXPECT_EQ(acquire(want_of(cap, epoch, "0.000000000001")).error().reason, "budget_exceeded");
  ASSERT_TRUE(close(epoch, 0));
  EXPECT_EQ(spend_of(cap).allowed(), "0.2") << "and follows the limit when it is back";
  set(wish("3"));
  EXPECT_TRUE(acquire(want_of(cap, open_epoch(), "2")));
  expect_reconciled();
}

TEST_F(Cap, RequestsThatMakeNoSenseAreRefusedByName) {
  make_customer("acme", "1");
  auto both = wish("1");
  both.set_project("default");
  both.set_user("ann");
  EXPECT_EQ(budgets(&BudgetApi::SetCap, both).error().reason, "bad_cap");
  EXPECT_EQ(budgets(&BudgetApi::SetCap, wish("1", "hourly")).error().field, "period");
  EXPECT_EQ(budgets(&BudgetApi::SetCap, wish("-1")).error().field, "amount");
  auto unknown = wish("1");
  unknown.set_key("nokey123");
  EXPECT_EQ(budgets(&BudgetApi::SetCap, unknown).error().reason, "unknown_key");
  v1::RemoveCapRequest remove;
  remove.set_cap_id("x");
  EXPECT_EQ(budgets(&BudgetApi::RemoveCap, remove).error().reason, "bad_id");
}

TEST_F(Cap, WhatWasSetIsWhatIsListed) {
  const auto customer = make_customer("acme", "1");
  const auto tenant = TenantId::parse(customer.tenant.tenant_id()).value();
  auto of_tenant = wish("5", ""), of_project = wish("4", "daily"), of_key = wish("3", "total");
  auto of_user = wish("2", "daily"), of_each = wish("1", "monthly");
  of_project.set_project("default");
  of_key.set_key(customer.key.key().public_id());
  of_user.set_user("ann");
  of_each.set_every_user(true);
  for (const auto& request : {of_tenant, of_project, of_key, of_user, of_each}) set(request);
  v1::ListCapsRequest list;
  list.set_tenant("acme");
  const auto caps = budgets(&BudgetApi::ListCaps, list).value();
  std::set<std::string> listed;
  for (const auto& cap : caps.caps()) {
    listed.insert(cap.scope() + "/" + cap.subject() + "/" + cap.period() + "/" + cap.amount());
  }
  const std::set<std::string> wanted = {
      "tenant//monthly/5",
      "project/" + customer.project.project_id() + "/daily/4",
      "key/" + customer.key.key().key_id() + "/total/3",
      "user/" + end_user_id(config_.pepper, tenant, "ann").to_string() + "/daily/2",
      "user//monthly/1",
  };
  EXPECT_EQ(listed, wanted);
}

/// A request may have to wait for its leases: that must not depend on how much usage there is, or on who reads it.
TEST_F(Cap, LeasesMoveWhileTheUsageTablesAreLocked) {
  const auto customer = make_customer("acme", "10");
  const auto cap = set(wish("1"));
  const auto epoch = open_epoch();
  {
    pqxx::connection connection(config_.pg_dsn);
    pqxx::work tx(connection);
    tx.exec0("LOCK TABLE usage_log, usage_hours IN ACCESS EXCLUSIVE MODE");
    const auto of_cap = acquire(want_of(cap, epoch, "0.5"));
    EXPECT_TRUE(of_cap) << of_cap.error().to_string();
    const auto of_wallet = acquire(lease_request(customer, epoch, "1"));
    ASSERT_TRUE(of_wallet) << of_wallet.error().to_string();
    v1::ReturnLeaseRequest back;
    back.set_gateway_id("g1");
    back.set_epoch(epoch);
    back.set_lease_id(of_wallet->lease_id());
    back.set_amount("0.25");
    back.set_return_id(raw_uuid());
    const auto returned = accounts(&AccountsApi::ReturnLease, back);
    ASSERT_TRUE(returned) << returned.error().to_string();
    EXPECT_EQ(returned->amount(), "0.75");
  }
  expect_reconciled();
}

TEST_F(Cap, ARemovedCapIsListedOnlyWhenAskedFor) {
  make_customer("acme", "1");
  const auto cap = set(wish("1"));
  v1::RemoveCapRequest remove;
  remove.set_cap_id(cap.cap_id());
  ASSERT_TRUE(budgets(&BudgetApi::RemoveCap, remove));
  ASSERT_TRUE(budgets(&BudgetApi::RemoveCap, remove)) << "twice is once";
  v1::ListCapsRequest list;
  list.set_tenant("acme");
  EXPECT_EQ(budgets(&BudgetApi::ListCaps, list)->caps_size(), 0);
  list.set_include_removed(true);
  EXPECT_EQ(budgets(&BudgetApi::ListCaps, list)->caps_size(), 1);
  EXPECT_NE(set(wish("1")).cap_id(), cap.cap_id()) << "a new one counts from new";
}

TEST_F(Cap, PeriodsAreDaysAndMonthsOfTheZoneAlsoWhereClocksChange) {
  const auto period = [&](const std::string& kind, const std::string& instant, const std::string& zone) {
    return query(
        "SELECT to_char(starts_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') || ' ' || "
        "to_char(ends_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') FROM cap_period('" +
        kind + "', '" + instant + "', '" + zone + "')");
  };
  EXPECT_EQ(period("daily", "2026-11-22T03:59:59Z", "UTC"), "11-22 00:00 11-23 00:00");
  EXPECT_EQ(period("daily", "2026-11-22T15:59:59Z", "Asia/Shanghai"), "11-21 16:00 11-22 16:00");
  EXPECT_EQ(period("daily", "2026-11-22T16:00:00Z", "Asia/Shanghai"), "11-22 16:00 11-23 16:00")
      << "half-open";
  EXPECT_EQ(period("monthly", "2026-12-31T16:00:00Z", "Asia/Shanghai"), "12-31 16:00 01-31 16:00");
  EXPECT_EQ(period("daily", "2026-03-08T12:00:00Z", "America/New_York"), "03-08 05:00 03-09 04:00")
      << "23 hours";
  EXPECT_EQ(period("daily", "2026-11-01T12:00:00Z", "America/New_York"), "11-01 04:00 11-02 05:00")
      << "25 hours";
  // Havana's clocks go from 01:00 back to 00:00: midnight comes twice, and the day begins at the second one.
  EXPECT_EQ(period("daily", "2026-11-01T04:30:00Z", "America/Havana"), "10-31 04:00 11-01 05:00");
  EXPECT_EQ(period("daily", "2026-11-01T05:00:00Z", "America/Havana"), "11-01 05:00 11-02 05:00");
  // Cairo's clocks jump over midnight.
  EXPECT_EQ(period("daily", "2026-04-23T21:59:59Z", "Africa/Cairo"), "04-22 22:00 04-23 22:00");
  EXPECT_EQ(period("daily", "2026-04-23T22:00:00Z", "Africa/Cairo"), "04-23 22:00 04-24 21:00");
}

TEST_F(Cap, EveryQuarterHourOfAYearLiesInExactlyOnePeriodOfEachKind) {
  EXPECT_EQ(query(R"sql(
    WITH instants AS (SELECT z.zone, k.kind, i.instant,
                             (cap_period(k.kind, i.instant, z.zone)).*
                        FROM (VALUES ('America/Havana'), ('Africa/Cairo'), ('Australia/Lord_Howe'), ('America/Santiago'),
                                     ('Europe/Berlin')) z(zone)
                       CROSS JOIN (VALUES ('daily'), ('monthly')) k(kind)
                       CROSS JOIN generate_series('2026-01-01'::timestamptz, '2027-01-01', '15 minutes') i(instant))
    SELECT (SELECT count(*) FROM instants WHERE instant < starts_at OR instant >= ends_at)
         + (SELECT count(*) FROM (SELECT ends_at, lead(starts_at) OVER (PARTITION BY zone, kind ORDER BY starts_at) AS next
                                    FROM (SELECT DISTINCT zone, kind, starts_at, ends_at FROM instants) d) g
             WHERE next IS NOT NULL AND next <> ends_at))sql"),
            "0");
}

TEST_F(Cap, ThePeriodOfTheGatewaysInstantIsMeantWithinTheClockErrorOnly) {
  make_customer("acme", "10");
  const auto cap = set(wish("1"));
  const auto epoch = open_epoch();
  auto request = want_of(cap, epoch, "0.1");
  request.set_at_us(unix_micros(clock_.wall() + std::chrono::hours(48)));
  const auto lease = acquire(request);
  EXPECT_LE(lease->period_end_us(), unix_micros(clock_.wall() + std::chrono::hours(25)));
}

TEST_F(Cap, AChangeIsWrittenToTheLogThatGatewaysFollow) {
  make_customer("acme", "10");
  const auto cap = set(wish("1"));
  EXPECT_EQ(query("SELECT count(*) FROM changes WHERE kind = 'cap' AND ref = '" + cap.cap_id() + "'"), "1");
}

TEST_F(Cap, TheReconcileJobSeesATamperedPeriod) {
  const auto customer = make_customer("acme", "10");
  const auto cap = set(wish("1"));
  const auto epoch = open_epoch();
  const auto lease = acquire(want_of(cap, epoch, "0.5")).value();
  const auto wallet = accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, "1")).value();
  auto event = make_event(customer, wallet, 1);
  event.add_cap_lease_ids(lease.lease_id());
  ASSERT_TRUE(submit(make_batch(epoch, {event})));
  expect_reconciled();
  force("UPDATE cap_periods SET spent = spent + 0.000000000001");
  EXPECT_EQ(broken_checks(), "I15");
  force("UPDATE cap_periods SET spent = spent - 0.000000000001");
  force("UPDATE cap_leases SET consumed = consumed - 0.000000000001");
  EXPECT_EQ(broken_checks(), "I15");
}

}  // namespace
}  // namespace tidegate::billing
