#include "base/pg/leader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/integration/pg/test_deadlines.h"
#include "tests/support/eventually.h"
#include "tests/support/pg/pg_server.h"

namespace tidegate::pg {
namespace {

using test::soon_enough;

constexpr Duration kLong = std::chrono::minutes(10);
constexpr Duration kShort = std::chrono::milliseconds(50);

class Leader : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(lease("anyone", kLong).create_table(soon_enough())); }
  LeaderLease lease(const std::string& holder, Duration ttl) { return LeaderLease(pool_, clock_, "scheduler", holder, ttl); }

  /// 0: not ours.
  static std::uint64_t acquire(LeaderLease& lease) {
    const auto held = lease.acquire(soon_enough());
    EXPECT_TRUE(held) << held.error().to_string();
    return held && *held ? (*held)->term : 0;
  }

  static PoolOptions options() {
    PoolOptions options;
    options.connection = test::fresh_database();
    return options;
  }
  SystemClock clock_;
  Pool pool_{options()};
};

TEST_F(Leader, FirstHolderHasTermOneAndOthersWait) {
  auto a = lease("a", kLong);
  auto b = lease("b", kLong);
  EXPECT_EQ(acquire(a), 1U);
  EXPECT_EQ(acquire(b), 0U);
  EXPECT_EQ(acquire(a), 1U);  // renewing keeps the term
}

TEST_F(Leader, TermGrowsWithEachNewHolder) {
  auto a = lease("a", kLong);
  auto b = lease("b", kLong);
  ASSERT_EQ(acquire(a), 1U);
  ASSERT_TRUE(a.release(soon_enough()));
  EXPECT_EQ(acquire(b), 2U);
  ASSERT_TRUE(b.release(soon_enough()));
  EXPECT_EQ(acquire(a), 3U);
}

TEST_F(Leader, ExpiredLeaseIsTakenOverAndTheOldHolderLearnsIt) {
  auto a = lease("a", kShort);
  auto b = lease("b", kLong);
  ASSERT_EQ(acquire(a), 1U);
  ASSERT_TRUE(test::eventually([&] { return acquire(b) == 2; }));
  const auto renewed = a.renew(soon_enough());
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().reason, "lease_lost");
  EXPECT_EQ(acquire(a), 0U);
}

TEST_F(Leader, HolderThatLapsedStartsANewTerm) {
  auto a = lease("a", Duration::zero());
  EXPECT_EQ(acquire(a), 1U);
  EXPECT_FALSE(a.renew(soon_enough()));
  EXPECT_EQ(acquire(a), 2U);
}

TEST_F(Leader, WhoStoppedActingStartsANewTermThoughTheDatabaseStillHasTheLeaseAsItsOwn) {
  auto a = lease("a", kLong);
  EXPECT_EQ(acquire(a), 1U);
  a.lapse();
  EXPECT_EQ(acquire(a), 2U);
  EXPECT_EQ(acquire(a), 2U);
}

TEST_F(Leader, ReleaseOfSomebodyElsesLeaseChangesNothing) {
  auto a = lease("a", kLong);
  auto b = lease("b", kLong);
  ASSERT_EQ(acquire(a), 1U);
  ASSERT_TRUE(b.release(soon_enough()));
  EXPECT_EQ(acquire(b), 0U);
}

TEST_F(Leader, LeaseEndsForUsBeforeItEndsForTheDatabase) {
  auto a = lease("a", kLong);
  const Mono before = clock_.mono();
  const auto held = a.acquire(soon_enough());
  ASSERT_TRUE(held && *held);
  EXPECT_GE((*held)->valid_until, before + kLong);
  EXPECT_LE((*held)->valid_until, clock_.mono() + kLong);
}

TEST_F(Leader, NamesAreSeparate) {
  auto a = lease("a", kLong);
  LeaderLease other(pool_, clock_, "billing-jobs", "b", kLong);
  EXPECT_EQ(acquire(a), 1U);
  EXPECT_EQ(acquire(other), 1U);
}

TEST_F(Leader, OfManyAtOnceOneWins) {
  std::atomic<int> winners = 0;
  std::vector<std::thread> candidates;
  for (int i = 0; i < 8; ++i) {
    candidates.emplace_back([&, i] {
      auto mine = lease("candidate-" + std::to_string(i), kLong);
      if (acquire(mine) != 0) ++winners;
    });
  }
  for (auto& candidate : candidates) candidate.join();
  EXPECT_EQ(winners, 1);
}

}  // namespace
}  // namespace tidegate::pg
