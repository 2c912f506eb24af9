#include "base/pg/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <pqxx/result>
#include <thread>

#include "base/pg/types.h"
#include "tests/integration/pg/test_deadlines.h"
#include "tests/support/eventually.h"
#include "tests/support/pg/pg_server.h"
#include "tests/support/run_coro.h"

namespace tidegate::pg::pool_test {
namespace {

using test::soon_enough;
using test::within;

PoolOptions options_for(const std::string& connection, std::size_t connections) {
  PoolOptions options;
  options.connection = connection;
  options.connections = connections;
  return options;
}

class PoolTest : public ::testing::Test {
 protected:
  std::string connection_ = test::fresh_database();
  Pool pool_{options_for(connection_, 2)};

  void make_table() {
    const Status made = pool_.run_blocking(soon_enough(), [](pqxx::work& tx) -> Status {
      tx.exec0("CREATE TABLE entry (id int PRIMARY KEY, note text)");
      return {};
    });
    ASSERT_TRUE(made) << made.error().to_string();
  }
  std::int64_t count_entries() {
    return *pool_.run_blocking(soon_enough(), [](pqxx::work& tx) -> Result<std::int64_t> {
      return read_int64(tx.exec1("SELECT count(*) FROM entry")[0]);
    });
  }
};

TEST_F(PoolTest, ValueCommits) {
  make_table();
  const auto id = pool_.run_blocking(soon_enough(), [](pqxx::work& tx) -> Result<int> {
    tx.exec0("INSERT INTO entry VALUES (1, 'kept')");
    return 1;
  });
  ASSERT_TRUE(id);
  EXPECT_EQ(count_entries(), 1);
}

/// A keyword of the DSN that another one follows would be lost without a word: the session itself says what holds.
TEST_F(PoolTest, ASessionHasTheRoleAndTheLimitsThatThePoolWasGiven) {
  const Status made = pool_.run_blocking(soon_enough(), [](pqxx::work& tx) -> Status {
    tx.exec0("DO $$ BEGIN CREATE ROLE pool_test_role; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    return {};
  });
  ASSERT_TRUE(made) << made.error().to_string();
  PoolOptions options = options_for(connection_, 1);
  options.role = "pool_test_role";
  options.lock_timeout = std::chrono::milliseconds(7'000);
  options.statement_timeout = std::chrono::milliseconds(9'000);
  Pool pool(options);
  const auto held = pool.run_blocking(soon_enough(), [](pqxx::work& tx) -> Result<std::string> {
    const auto row = tx.exec1(
        "SELECT current_user || ' ' || current_setting('lock_timeout') || ' ' || current_setting('statement_timeout')"
        " || ' ' || current_setting('jit') || ' ' || current_setting('TimeZone')");
    return std::string(row[0].c_str());
  });
  ASSERT_TRUE(held) << held.error().to_string();
  EXPECT_EQ(*held, "pool_test_role 7s 9s off UTC");
}

TEST_F(PoolTest, ErrorRollsBackAndComesThroughUnchanged) {
  make_table();
  const Error wanted(Code::kFailedPrecondition, "wallet_closed", "the wallet is closed", "wallet");
  const auto outcome = pool_.run_blocking(soon_enough(), [&](pqxx::work& tx) -> Result<int> {
    tx.exec0("INSERT INTO entry VALUES (1, 'dropped')");
    return fail(wanted);
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error(), wanted);
  EXPECT_EQ(count_entries(), 0);
}

TEST_F(PoolTest, CoroutineGetsItsAnswerOnItsOwnThread) {
  const auto question = [this]() -> awaitable<std::pair<std::int64_t, bool>> {
    const auto asking = std::this_thread::get_id();
    auto job = [](pqxx::work& tx) -> Result<std::int64_t> { return read_int64(tx.exec1("SELECT 41 + 1")[0]); };
    auto answer = co_await pool_.run(soon_enough(), std::move(job));
    co_return std::pair<std::int64_t, bool>(answer.value_or(-1), std::this_thread::get_id() == asking);
  };
  const auto [answer, same_thread] = test::run_coro(question());
  EXPECT_EQ(answer, 42);
  EXPECT_TRUE(same_thread);
}

TEST_F(PoolTest, ExpiredDeadlineNeverStarts) {
  std::atomic<int> runs = 0;
  const auto outcome = pool_.run_blocking(within(Duration::zero()), [&](pqxx::work&) -> Status {
    ++runs;
    return {};
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kDeadlineExceeded);
  EXPECT_EQ(outcome.error().reason, "database_deadline");
  EXPECT_EQ(runs, 0);
}

TEST_F(PoolTest, DeadlineStopsARunningStatement) {
  const auto started = std::chrono::steady_clock::now();
  std::atomic<bool> has_begun = false;
  Status outcome;
  // On a machine that stands still the time may be over before the statement begins: then a longer one shows it.
  for (auto span = std::chrono::milliseconds(100); !has_begun && span < std::chrono::seconds(5); span *= 2) {
    outcome = pool_.run_blocking(within(span), [&has_begun](pqxx::work& tx) -> Status {
      has_begun = true;
      tx.exec("SELECT pg_sleep(30)");
      return {};
    });
    ASSERT_FALSE(outcome);
  }
  EXPECT_EQ(outcome.error().reason, "statement_timeout");
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(20));
}

TEST_F(PoolTest, StatementTimeoutHoldsWithoutADeadline) {
  auto options = options_for(connection_, 1);
  options.statement_timeout = std::chrono::milliseconds(50);
  Pool impatient(options);
  const auto outcome = impatient.run_blocking(Deadline::never(), [](pqxx::work& tx) -> Status {
    tx.exec("SELECT pg_sleep(30)");
    return {};
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kDeadlineExceeded);
}

/// Keeps the only connection busy until released.
class BusyPool : public ::testing::Test {
 protected:
  void SetUp() override {
    auto options = options_for(test::fresh_database(), 1);
    options.queue_max = 2;
    pool_ = std::make_unique<Pool>(options);
    holder_ = std::thread([this] {
      outcome_ = pool_->run_blocking(soon_enough(), [this](pqxx::work&) -> Status {
        is_held_.set_value();
        release_.get_future().wait();
        return {};
      });
    });
    is_held_.get_future().wait();
  }
  void TearDown() override {
    let_go();
    holder_.join();
    EXPECT_TRUE(outcome_);
  }
  void let_go() {
    if (!std::exchange(is_released_, true)) release_.set_value();
  }

  std::unique_ptr<Pool> pool_;
  std::promise<void> is_held_;
  std::promise<void> release_;
  bool is_released_ = false;
  Status outcome_;
  std::thread holder_;
};

TEST_F(BusyPool, DeadlineInTheQueueIsNoticedWhileOthersRun) {
  std::atomic<int> runs = 0;
  const auto outcome = pool_->run_blocking(within(std::chrono::milliseconds(30)), [&](pqxx::work&) -> Status {
    ++runs;
    return {};
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().reason, "database_deadline");
  EXPECT_EQ(runs, 0);
}

TEST_F(BusyPool, FullQueueRefusesAtOnce) {
  const auto noop = [](pqxx::work&) -> Status { return {}; };
  std::vector<std::future<Status>> waiting;
  for (int i = 0; i < 2; ++i) {
    waiting.push_back(std::async(std::launch::async, [&] { return pool_->run_blocking(soon_enough(), noop); }));
  }
  ASSERT_TRUE(test::eventually([&] { return pool_->queued() == 2; }));
  const auto refused = pool_->run_blocking(soon_enough(), noop);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_EQ(refused.error().reason, "database_queue_full");
  let_go();
  for (auto& job : waiting) EXPECT_TRUE(job.get());
}

TEST_F(BusyPool, StopFailsWhatIsQueuedAndWaitsForWhatRuns) {
  auto queued = std::async(std::launch::async, [&] {
    return pool_->run_blocking(soon_enough(), [](pqxx::work&) -> Status { return {}; });
  });
  ASSERT_TRUE(test::eventually([&] { return pool_->queued() == 1; }));
  auto stopping = std::async(std::launch::async, [&] { pool_->stop(); });
  const auto outcome = queued.get();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().reason, "database_pool_stopped");
  let_go();
  stopping.get();
  const auto late = pool_->run_blocking(soon_enough(), [](pqxx::work&) -> Status { return {}; });
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason, "database_pool_stopped");
}

TEST(PoolMetricsTest, QueueWaitAndRunAreObserved) {
  MemoryRegistry registry;
  PoolMetrics metrics;
  metrics.queued = &registry.gauge("queued", "");
  metrics.wait_seconds = &registry.histogram("wait", "", latency_bounds_seconds());
  metrics.run_seconds = &registry.histogram("run", "", latency_bounds_seconds());
  Pool pool(options_for(test::fresh_database(), 1), metrics);
  ASSERT_TRUE(pool.run_blocking(soon_enough(), [](pqxx::work&) -> Status { return {}; }));
  EXPECT_EQ(registry.value("wait"), 1);
  EXPECT_EQ(registry.value("run"), 1);
  EXPECT_EQ(registry.value("queued"), 0);
}

}  // namespace
}  // namespace tidegate::pg::pool_test
