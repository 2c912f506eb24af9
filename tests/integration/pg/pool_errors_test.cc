#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <pqxx/result>
#include <stdexcept>
#include <thread>

#include "base/pg/pool.h"
#include "base/pg/types.h"
#include "tests/integration/pg/test_deadlines.h"
#include "tests/support/pg/pg_server.h"

namespace tidegate::pg {
namespace {

using test::soon_enough;

class PoolErrors : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(execute(R"(
      CREATE TABLE wallet (id int PRIMARY KEY, owner text NOT NULL, balance bigint CONSTRAINT not_overdrawn CHECK (balance >= 0));
      CREATE TABLE lease (id int PRIMARY KEY, wallet int CONSTRAINT lease_of_wallet REFERENCES wallet);
      INSERT INTO wallet VALUES (1, 'a', 100), (2, 'b', 100))"));
  }
  Status execute(const std::string& sql) {
    return pool_.run_blocking(soon_enough(), [&](pqxx::work& tx) -> Status {
      tx.exec(sql);
      return {};
    });
  }
  Error error_of(const std::string& sql) {
    const Status outcome = execute(sql);
    return outcome ? Error() : outcome.error();
  }

  static PoolOptions options() {
    PoolOptions options;
    options.connection = test::fresh_database();
    options.connections = 2;
    return options;
  }
  Pool pool_{options()};
};

TEST_F(PoolErrors, UniqueViolationIsAlreadyExistsWithItsConstraint) {
  const Error error = error_of("INSERT INTO wallet VALUES (1, 'again', 0)");
  EXPECT_EQ(error.code, Code::kAlreadyExists);
  EXPECT_EQ(error.reason, "unique_violation");
  EXPECT_EQ(error.field, "wallet_pkey");
}

TEST_F(PoolErrors, MessagesKeepRowContentsToThemselves) {
  EXPECT_EQ(error_of("INSERT INTO wallet VALUES (1, 'secret owner', 0)").message.find("Key (id)"), std::string::npos);
}

TEST_F(PoolErrors, CheckViolationIsFailedPreconditionWithItsConstraint) {
  const Error error = error_of("UPDATE wallet SET balance = -1 WHERE id = 1");
  EXPECT_EQ(error.code, Code::kFailedPrecondition);
  EXPECT_EQ(error.reason, "check_violation");
  EXPECT_EQ(error.field, "not_overdrawn");
}

TEST_F(PoolErrors, ForeignKeyAndNotNullNameWhatTheyProtect) {
  EXPECT_EQ(error_of("INSERT INTO lease VALUES (1, 99)").field, "lease_of_wallet");
  const Error missing = error_of("INSERT INTO wallet VALUES (3, NULL, 0)");
  EXPECT_EQ(missing.reason, "not_null_violation");
  EXPECT_EQ(missing.field, "owner");
}

TEST_F(PoolErrors, ViolationFoundAtCommitIsReportedAsOne) {
  ASSERT_TRUE(execute("ALTER TABLE lease ALTER CONSTRAINT lease_of_wallet DEFERRABLE INITIALLY DEFERRED"));
  EXPECT_EQ(error_of("INSERT INTO lease VALUES (1, 99)").reason, "foreign_key_violation");
}

TEST_F(PoolErrors, BrokenSqlIsInternalWithItsState) {
  const Error error = error_of("SELEKT 1");
  EXPECT_EQ(error.code, Code::kInternal);
  EXPECT_NE(error.message.find("42601"), std::string::npos);
}

TEST_F(PoolErrors, ThrowingJobIsAnErrorAndThePoolLivesOn) {
  const auto outcome = pool_.run_blocking(soon_enough(), [](pqxx::work&) -> Status { throw std::runtime_error("boom"); });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kInternal);
  EXPECT_TRUE(execute("SELECT 1"));
}

TEST_F(PoolErrors, WrongColumnTypeIsAnErrorNotACrash) {
  const auto outcome = pool_.run_blocking(soon_enough(), [](pqxx::work& tx) -> Result<std::int64_t> {
    return read_int64(tx.exec1("SELECT 'seven'")[0]);
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kInternal);
}

TEST_F(PoolErrors, DeadlockIsRetriedUntilBothSucceed) {
  // Both take their first row, then want the other's: PostgreSQL ends one, which the pool runs again.
  std::barrier both(2);
  std::atomic<int> runs = 0;
  const auto transfer = [&](int from, int to) {
    return pool_.run_blocking(soon_enough(), [&, first_run = true](pqxx::work& tx) mutable -> Status {
      ++runs;
      tx.exec0("UPDATE wallet SET balance = balance - 1 WHERE id = " + std::to_string(from));
      if (std::exchange(first_run, false)) both.arrive_and_wait();
      tx.exec0("UPDATE wallet SET balance = balance + 1 WHERE id = " + std::to_string(to));
      return {};
    });
  };
  Status one;
  Status two;
  std::thread other([&] { two = transfer(2, 1); });
  one = transfer(1, 2);
  other.join();
  EXPECT_TRUE(one) << one.error().to_string();
  EXPECT_TRUE(two) << two.error().to_string();
  // The one that was ended may meet the other again before it has committed.
  EXPECT_GE(runs, 3);
  EXPECT_LE(runs, 2 * Pool::kAttemptsMax);
}

TEST_F(PoolErrors, SerializationFailureIsRetriedABoundedNumberOfTimes) {
  int runs = 0;
  const auto outcome = pool_.run_blocking(soon_enough(), [&](pqxx::work& tx) -> Status {
    ++runs;
    tx.exec("DO $$ BEGIN RAISE EXCEPTION 'not this time' USING ERRCODE = 'serialization_failure'; END $$");
    return {};
  });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kAborted);
  EXPECT_EQ(outcome.error().reason, "serialization_failure");
  EXPECT_EQ(runs, Pool::kAttemptsMax);
}

}  // namespace
}  // namespace tidegate::pg
