#include <gtest/gtest.h>

#include <atomic>
#include <pqxx/result>
#include <set>
#include <thread>
#include <vector>

#include "base/core/clock.h"
#include "base/pg/leader.h"
#include "base/pg/pool.h"
#include "base/pg/types.h"
#include "tests/integration/pg/test_deadlines.h"
#include "tests/support/eventually.h"
#include "tests/support/pg/pg_server.h"

namespace tidegate::pg {
namespace {

using test::soon_enough;
using test::within;

/// A server of its own, since it is stopped and killed.
class PoolOutage : public ::testing::Test {
 protected:
  static PoolOptions options(const std::string& connection) {
    PoolOptions options;
    options.connection = connection;
    options.connections = 4;
    return options;
  }
  static Status select_one(Pool& pool, Deadline deadline) {
    return pool.run_blocking(deadline, [](pqxx::work& tx) -> Status {
      tx.exec1("SELECT 1");
      return {};
    });
  }
  test::PgServer server_;
};

TEST_F(PoolOutage, RestartBetweenTwoCallsIsInvisible) {
  Pool pool(options(server_.create_database()));
  ASSERT_TRUE(select_one(pool, soon_enough()));
  server_.stop();
  server_.start();
  const Status after = select_one(pool, soon_enough());
  EXPECT_TRUE(after) << after.error().to_string();
}

TEST_F(PoolOutage, DownIsUnavailableByTheDeadlineAndUpAgainWorks) {
  Pool pool(options(server_.create_database()));
  ASSERT_TRUE(select_one(pool, soon_enough()));
  server_.stop();
  const auto asked = std::chrono::steady_clock::now();
  Status down = select_one(pool, within(std::chrono::milliseconds(200)));
  // On a machine that stands still the time may be over before anybody has looked: then a longer one shows it.
  for (auto span = std::chrono::milliseconds(400); span < std::chrono::seconds(5); span *= 2) {
    ASSERT_FALSE(down);
    if (down.error().reason != "database_deadline") break;
    down = select_one(pool, within(span));
  }
  ASSERT_FALSE(down);
  EXPECT_EQ(down.error().code, Code::kUnavailable) << down.error().to_string();
  EXPECT_EQ(down.error().reason, "database_unreachable");
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(15));
  server_.start();
  const Status up = select_one(pool, soon_enough());
  EXPECT_TRUE(up) << up.error().to_string();
}

TEST_F(PoolOutage, WaitingForADeadDatabaseDoesNotHoldUpTheStop) {
  auto patient = options(server_.create_database());
  patient.connections = 1;
  patient.reconnect_wait = std::chrono::minutes(5);
  patient.reconnect_least = patient.reconnect_most = std::chrono::minutes(4);
  Pool pool(patient);
  server_.stop();
  Status outcome;
  std::thread caller([&] { outcome = select_one(pool, within(std::chrono::minutes(5))); });
  ASSERT_TRUE(test::eventually([&] { return pool.queued() == 0; }));
  pool.stop();
  caller.join();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kUnavailable);
}

TEST_F(PoolOutage, AServerThatStandsStillIsSilentByTheDeadlineAndTheJobEndsWhenItGoesOn) {
  auto one = options(server_.create_database());
  one.connections = 1;
  Pool pool(one);
  ASSERT_TRUE(select_one(pool, soon_enough()));
  server_.freeze();
  std::atomic<bool> has_ended = false;
  auto job = [&has_ended](pqxx::work& tx) -> Result<int> {
    tx.exec1("SELECT 1");
    has_ended = true;
    return 1;
  };
  const Mono asked = std::chrono::steady_clock::now();
  const auto silent = pool.run_bounded(within(std::chrono::milliseconds(200)), job);
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().code, Code::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(5));
  EXPECT_FALSE(has_ended);
  server_.thaw();
  const auto up = pool.run_bounded(soon_enough(), job);
  ASSERT_TRUE(up) << up.error().to_string();
  EXPECT_EQ(*up, 1);
}

TEST_F(PoolOutage, ALeaseIsNotWaitedForFromAServerThatStandsStill) {
  SystemClock clock;
  Pool pool(options(server_.create_database()));
  LeaderLease lease(pool, clock, "scheduler", "a", std::chrono::minutes(1));
  ASSERT_TRUE(lease.create_table(soon_enough()));
  ASSERT_TRUE(lease.acquire(soon_enough()));
  server_.freeze();
  const Mono asked = clock.mono();
  EXPECT_FALSE(lease.acquire(within(std::chrono::milliseconds(200))));
  const auto again = lease.acquire(soon_enough());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().reason, "database_silent") << "one call at a time, or two would answer out of step";
  EXPECT_LT(clock.mono() - asked, std::chrono::seconds(5));
  lease.lapse();
  server_.thaw();
  std::uint64_t term = 0;
  ASSERT_TRUE(test::eventually([&] {
    const auto held = lease.acquire(soon_enough());
    if (!held || !*held) return false;
    term = (*held)->term;
    return true;
  }));
  EXPECT_GT(term, 1U) << "who stopped acting begins a new term";
  const auto kept = lease.acquire(soon_enough());
  ASSERT_TRUE(kept && *kept);
  EXPECT_EQ((*kept)->term, term) << "no late answer ends it";
}

/// The heart of M2 at this level: under load, through kills, what was answered OK is there exactly once, and what was
/// answered with an error other than in_doubt is not there at all.
TEST_F(PoolOutage, KilledUnderLoadLosesNothingAndInventsNothing) {
  constexpr int kKills = 5;
  constexpr int kWriters = 4;
  Pool pool(options(server_.create_database()));
  ASSERT_TRUE(pool.run_blocking(soon_enough(), [](pqxx::work& tx) -> Status {
    tx.exec0("CREATE TABLE entry (id bigint PRIMARY KEY)");
    return {};
  }));
  std::atomic<bool> is_over = false;
  std::atomic<int> written = 0;
  std::vector<std::set<std::int64_t>> sure(kWriters);
  std::vector<std::set<std::int64_t>> refused(kWriters);
  std::vector<std::string> surprises(kWriters);
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (std::int64_t id = w; !is_over; id += kWriters) {
        const Status outcome = pool.run_blocking(soon_enough(), [id](pqxx::work& tx) -> Status {
          tx.exec_params0("INSERT INTO entry VALUES ($1)", id);
          return {};
        });
        if (outcome) {
          sure[static_cast<std::size_t>(w)].insert(id);
          ++written;
        } else if (outcome.error().reason == "database_unreachable") {
          refused[static_cast<std::size_t>(w)].insert(id);
        } else if (outcome.error().reason != "in_doubt") {
          surprises[static_cast<std::size_t>(w)] = outcome.error().to_string();
        }
      }
    });
  }
  for (int kill = 0; kill < kKills; ++kill) {
    const int before = written;
    EXPECT_TRUE(test::eventually([&] { return written >= before + 50; })) << "no progress after kill " << kill;
    server_.kill9();
    server_.start();
  }
  const int before = written;
  EXPECT_TRUE(test::eventually([&] { return written >= before + 50; }));
  is_over = true;
  for (auto& writer : writers) writer.join();

  const auto found = pool.run_blocking(soon_enough(), [](pqxx::work& tx) -> Result<std::set<std::int64_t>> {
    std::set<std::int64_t> ids;
    for (const auto& row : tx.exec("SELECT id FROM entry")) ids.insert(read_int64(row[0]));
    return ids;
  });
  ASSERT_TRUE(found) << found.error().to_string();
  for (int w = 0; w < kWriters; ++w) {
    EXPECT_EQ(surprises[static_cast<std::size_t>(w)], "");
    for (const auto id : sure[static_cast<std::size_t>(w)]) EXPECT_TRUE(found->contains(id)) << "lost " << id;
    for (const auto id : refused[static_cast<std::size_t>(w)]) EXPECT_FALSE(found->contains(id)) << "invented " << id;
  }
}

}  // namespace
}  // namespace tidegate::pg
