#include "tests/support/pg/pg_server.h"

#include <gtest/gtest.h>

#include <pqxx/connection>
#include <pqxx/nontransaction>

namespace tidegate::test {
namespace {

TEST(PgServerTest, KilledServerComesBackWithWhatWasCommitted) {
  PgServer server;
  const auto database = server.create_database();
  {
    pqxx::connection connection(database);
    pqxx::nontransaction session(connection);
    session.exec("CREATE TABLE kept (id int)");
    server.kill9();
    EXPECT_FALSE(server.is_running());
  }
  server.start();
  pqxx::connection connection(database);
  pqxx::nontransaction session(connection);
  EXPECT_EQ(session.exec("SELECT * FROM kept").size(), 0U);
}

TEST(PgServerTest, DatabasesAreFresh) {
  EXPECT_NE(fresh_database(), fresh_database());
}

}  // namespace
}  // namespace tidegate::test
