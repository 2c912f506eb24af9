#include "base/pg/migrate.h"

#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>

#include "tests/integration/pg/test_deadlines.h"
#include "tests/support/pg/pg_server.h"
#include "tests/support/temp_dir.h"

namespace tidegate::pg {
namespace {

using test::soon_enough;
using test::within;

const std::vector<Migration> kTwo = {
    {1, "first", "CREATE TABLE one (id int); CREATE TABLE two (id int)"},
    {2, "second", "INSERT INTO one VALUES (1)"},
};

std::int64_t ask(const std::string& connection_string, const std::string& sql) {
  pqxx::connection connection(connection_string);
  pqxx::nontransaction session(connection);
  return session.exec1(sql)[0].as<long>();
}

TEST(Migrate, RunsEachOnceInOrder) {
  const auto database = test::fresh_database();
  const auto first = migrate(database, "billing", kTwo, soon_enough());
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(first->version_before, 0);
  EXPECT_EQ(first->version_after, 2);
  const auto again = migrate(database, "billing", kTwo, soon_enough());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->version_before, 2);
  EXPECT_EQ(ask(database, "SELECT count(*) FROM one"), 1);
}

TEST(Migrate, ServicesShareADatabaseWithoutMeeting) {
  const auto database = test::fresh_database();
  ASSERT_TRUE(migrate(database, "billing", kTwo, soon_enough()));
  const auto other =
      migrate(database, "scheduler", {{1, "own", "CREATE TABLE three (id int)"}}, soon_enough());
  ASSERT_TRUE(other) << other.error().to_string();
  EXPECT_EQ(other->version_before, 0);
}

TEST(Migrate, FailedOneLeavesNoTraceAndTheEarlierOnesStay) {
  const auto database = test::fresh_database();
  auto broken = kTwo;
  broken.push_back({3, "broken", "CREATE TABLE half (id int); SELEKT 1"});
  ASSERT_FALSE(migrate(database, "billing", broken, soon_enough()));
  EXPECT_EQ(ask(database, "SELECT count(*) FROM tidegate_schema_migrations"), 2);
  EXPECT_EQ(ask(database, "SELECT count(*) FROM pg_tables WHERE tablename = 'half'"), 0);
  broken[2].sql = "CREATE TABLE whole (id int)";
  const auto fixed = migrate(database, "billing", broken, soon_enough());
  ASSERT_TRUE(fixed) << fixed.error().to_string();
  EXPECT_EQ(fixed->version_before, 2);
}

TEST(Migrate, RefusesAnEditedOne) {
  const auto database = test::fresh_database();
  ASSERT_TRUE(migrate(database, "billing", kTwo, soon_enough()));
  auto edited = kTwo;
  edited[0].sql += " -- harmless?";
  const auto outcome = migrate(database, "billing", edited, soon_enough());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().reason, "migration_changed");
  EXPECT_NE(outcome.error().message.find("0001_first"), std::string::npos);
}

TEST(Migrate, RefusesADatabaseNewerThanTheProgram) {
  const auto database = test::fresh_database();
  ASSERT_TRUE(migrate(database, "billing", kTwo, soon_enough()));
  const auto outcome = migrate(database, "billing", {kTwo[0]}, soon_enough());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().reason, "migration_missing");
}

TEST(Migrate, ReplicasStartingTogetherRunItOnce) {
  const auto database = test::fresh_database();
  std::vector<std::future<Result<MigrationReport>>> replicas;
  for (int i = 0; i < 6; ++i) {
    replicas.push_back(
        std::async(std::launch::async, [&] { return migrate(database, "billing", kTwo, soon_enough()); }));
  }
  int did_it = 0;
  for (auto& replica : replicas) {
    const auto report = replica.get();
    ASSERT_TRUE(report) << report.error().to_string();
    did_it += report->version_before == 0 ? 1 : 0;
  }
  EXPECT_EQ(did_it, 1);
  EXPECT_EQ(ask(database, "SELECT count(*) FROM one"), 1);
}

TEST(Migrate, WaitsForTheLockNoLongerThanItsDeadline) {
  const auto database = test::fresh_database();
  pqxx::connection holder(database);
  pqxx::nontransaction session(holder);
  session.exec("SELECT pg_advisory_lock(7597127453411927396)");
  const auto outcome = migrate(database, "billing", kTwo, within(std::chrono::milliseconds(100)));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().reason, "migration_locked");
}

class MigrationFiles : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& sql) { std::ofstream(folder_.file(name)) << sql; }
  std::string reason() {
    const auto loaded = load_migrations(folder_.path());
    return loaded ? "" : loaded.error().reason;
  }
  test::TempDir folder_;
};

TEST_F(MigrationFiles, AreReadInTheOrderOfTheirNumbers) {
  write("0002_second.sql", "SELECT 2");
  write("0001_first_step.sql", "SELECT 1");
  write("README.md", "not one");
  const auto loaded = load_migrations(folder_.path());
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  ASSERT_EQ(loaded->size(), 2U);
  EXPECT_EQ((*loaded)[0].name, "first_step");
  EXPECT_EQ((*loaded)[1].sql, "SELECT 2");
}

TEST(Migrate, ANumberLeftOutMayComeLater) {
  const auto database = test::fresh_database();
  const Migration first = kTwo[0], second = kTwo[1],
                  third = {3, "third", "INSERT INTO two SELECT id FROM one"};
  ASSERT_TRUE(migrate(database, "billing", {first, third}, soon_enough()));
  ASSERT_TRUE(migrate(database, "billing", {first, second, third}, soon_enough()));
  EXPECT_EQ(ask(database, "SELECT count(*) FROM one"), 1);
  EXPECT_EQ(ask(database, "SELECT count(*) FROM two"), 0);
}

TEST_F(MigrationFiles, ATwinIsRefusedAndAGapIsNot) {
  write("0001_first.sql", "");
  write("0003_third.sql", "");
  EXPECT_EQ(reason(), "");
  write("0002_second.sql", "");
  EXPECT_EQ(reason(), "");
  write("0002_twin.sql", "");
  EXPECT_EQ(reason(), "bad_migration");
}

TEST_F(MigrationFiles, ForeignNameIsRefused) {
  write("12_short.sql", "");
  EXPECT_EQ(reason(), "bad_migration");
}

TEST_F(MigrationFiles, EmptyFolderIsRefused) {
  EXPECT_EQ(reason(), "no_migrations");
}

}  // namespace
}  // namespace tidegate::pg
