#include <gtest/gtest.h>

#include "base/crypto/end_user.h"
#include "tests/unit/gateway/money/money_world.h"

namespace tidegate::gateway {
namespace {

using test::eventually;
using test::FakeBilling;
using test::money;
using Call = FakeBilling::Call;

struct CapsTest : test::MoneyWorld {
  const std::string tenant = SequentialBytes(71), project = SequentialBytes(72);

  Uuid cap(v1::CapScope scope, std::string_view limit, const std::string& subject = "") {
    return billing.add_cap(tenant, scope, subject, money(limit));
  }
  Result<std::unique_ptr<Charge>> admit_for(const std::string& user) {
    auto what = request();
    what.end_user = user;
    return admit(std::move(what));
  }
  /// Admits until refused, settles everything at the worst case; how many.
  std::size_t spend_all(const std::string& user = "") {
    std::vector<std::unique_ptr<Charge>> charges;
    for (;;) {
      auto charge = admit_for(user);
      if (!charge) {
        last_refusal = charge.error();
        break;
      }
      charges.push_back(*std::move(charge));
    }
    for (const auto& charge : charges) EXPECT_TRUE(settle(*charge, report(1000, 1000)));
    return charges.size();
  }
  Uuid user_id(const std::string& user) { return end_user_id(kPepper, *TenantId::from_bytes(tenant), user); }
  Error last_refusal;
};

TEST_F(CapsTest, TheSmallestCapDecidesAndEveryLevelIsChargedTheSame) {
  const Uuid of_tenant = cap(v1::CAP_SCOPE_TENANT, "1");
  const Uuid of_project = cap(v1::CAP_SCOPE_PROJECT, "0.02", project);  // ten worst cases of 0.002
  const Uuid of_key = cap(v1::CAP_SCOPE_KEY, "0.5", key_id);
  begin_and_wait();
  EXPECT_EQ(spend_all(), 10u) << last_refusal.to_string();
  EXPECT_EQ(last_refusal.code, Code::kResourceExhausted);
  EXPECT_EQ(last_refusal.reason, "budget_exceeded");
  EXPECT_NE(last_refusal.message.find("resets"), std::string::npos);
  EXPECT_TRUE(drain());
  for (const Uuid& one : {of_tenant, of_project, of_key}) EXPECT_EQ(billing.cap_spend(one).spent, money("0.02"));
  EXPECT_EQ(billing.wallet(wallet).spent, money("0.02"));
  EXPECT_TRUE(billing.reconcile().empty());
}

TEST_F(CapsTest, WhileTheLeasesAreOpenNoCallIsMade) {
  cap(v1::CAP_SCOPE_TENANT, "50");
  cap(v1::CAP_SCOPE_KEY, "50", key_id);
  begin_and_wait();
  ASSERT_TRUE(admit(request()));
  ASSERT_TRUE(eventually([&] { return billing.calls(Call::kAcquire) >= 3; }));
  const int before = billing.calls(Call::kAcquire);
  EXPECT_TRUE(admit(request()));
  EXPECT_EQ(billing.calls(Call::kAcquire), before);
}

TEST_F(CapsTest, EachEndUserHasItsOwnShareAndTheUnnamedHaveNone) {
  const Uuid every = cap(v1::CAP_SCOPE_USER, "0.004");
  begin_and_wait();
  EXPECT_EQ(spend_all("ann"), 2u) << last_refusal.to_string();
  EXPECT_EQ(spend_all("bob"), 2u) << last_refusal.to_string();
  const auto unnamed = admit(request());
  EXPECT_TRUE(unnamed) << "no end user named: " << unnamed.error().to_string();
  EXPECT_EQ(billing.cap_spend(every, user_id("ann")).spent + billing.cap_spend(every, user_id("ann")).leased, money("0.004"));
}

TEST_F(CapsTest, AnEndUsersOwnCapStandsForTheOneOfEverybody) {
  cap(v1::CAP_SCOPE_USER, "0.004");
  cap(v1::CAP_SCOPE_USER, "0.01", std::string(user_id("ann").raw()));
  begin_and_wait();
  EXPECT_EQ(spend_all("ann"), 5u) << last_refusal.to_string();
  EXPECT_EQ(spend_all("bob"), 2u) << last_refusal.to_string();
}

TEST_F(CapsTest, ANewCapBindsAndARaisedOneOpensTheDoor) {
  begin_and_wait();
  ASSERT_TRUE(admit(request()));
  const Uuid late = cap(v1::CAP_SCOPE_KEY, "0", key_id);
  ASSERT_TRUE(eventually([&] { return !admit(request()); }));
  billing.set_cap_limit(late, money("1"));
  EXPECT_TRUE(eventually([&] { return admit(request()).has_value(); }));
  billing.set_cap_limit(late, money("0"));
  ASSERT_TRUE(eventually([&] { return !admit(request()); }));
  billing.remove_cap(late);
  EXPECT_TRUE(eventually([&] { return admit(request()).has_value(); }));
}

TEST_F(CapsTest, TheNextPeriodBeginsWithinAMomentAndTheOldOneKeepsItsSpending) {
  const Uuid daily = cap(v1::CAP_SCOPE_KEY, "0.02", key_id);
  billing.roll_periods(clock.wall() + std::chrono::milliseconds(600));
  begin_and_wait();
  const std::size_t first = spend_all();
  EXPECT_LE(first, 10u);
  billing.roll_periods(clock.wall() + std::chrono::hours(1));
  ASSERT_TRUE(eventually([&] { return admit(request()).has_value(); }));
  EXPECT_LE(billing.cap_spend(daily).spent, money("0.02"));
  EXPECT_TRUE(drain());
  EXPECT_TRUE(billing.reconcile().empty());
}

TEST_F(CapsTest, AGatewayThatDiesKeepsItsCapLeasesUntilItsJournalWasShipped) {
  const Uuid daily = cap(v1::CAP_SCOPE_KEY, "0.02", key_id);
  begin_and_wait();
  {
    auto charge = admit(request());
    ASSERT_TRUE(charge);
    EXPECT_TRUE(settle(**charge, report(1000, 500)));
  }
  end();
  begin_and_wait();
  EXPECT_TRUE(eventually([&] { return billing.cap_spend(daily).spent == money("0.0015"); }));
  EXPECT_EQ(spend_all(), 9u) << "0.0185 are left; then " << last_refusal.to_string();
  EXPECT_TRUE(drain());
  EXPECT_TRUE(billing.reconcile().empty());
}

TEST_F(CapsTest, AThousandConcurrentCallsNeverPassAnyScopeAndUseItUp) {
  const Uuid of_project = cap(v1::CAP_SCOPE_PROJECT, "0.2", project);  // a hundred worst cases
  const Uuid of_key = cap(v1::CAP_SCOPE_KEY, "0.15", key_id);
  const Uuid every = cap(v1::CAP_SCOPE_USER, "0.01");
  begin_and_wait();
  std::atomic<int> done = 0, served = 0;
  std::vector<AdmissionRequest> requests;
  for (int i = 0; i < 1000; ++i) {
    requests.push_back(request());
    requests.back().end_user = "user-" + std::to_string(i % 40);
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto work = [&, i]() -> awaitable<void> {
      AdmissionRequest mine = requests[i];
      auto charge = co_await treasury->meter().admit(std::move(mine));
      if (charge) {
        auto settled = co_await (*charge)->settle(report(1000, 1000));
        served += settled ? 1 : 0;
      }
      ++done;
    };
    const std::size_t lane = 1 + i % 2;
    threads.post_on(lane, [this, work, lane] {
      // The lambda's captures live in the coroutine's argument, not in a temporary.
      auto own = [](auto body) -> awaitable<void> { co_await body(); };
      asio::co_spawn(threads.context(lane), own(work), asio::detached);
    });
  }
  ASSERT_TRUE(eventually([&] { return done == 1000; }, std::chrono::seconds(60))) << done;
  EXPECT_TRUE(drain());
  EXPECT_LE(served, 75);
  EXPECT_GE(served, 72) << "95 % of the smallest cap";
  EXPECT_EQ(billing.cap_spend(of_key).spent, billing.cap_spend(of_project).spent);
  EXPECT_LE(billing.cap_spend(of_key).spent, money("0.15"));
  for (int user = 0; user < 40; ++user) {
    EXPECT_LE(billing.cap_spend(every, user_id("user-" + std::to_string(user))).spent, money("0.01"));
  }
  EXPECT_TRUE(billing.reconcile().empty());
}

}  // namespace
}  // namespace tidegate::gateway
