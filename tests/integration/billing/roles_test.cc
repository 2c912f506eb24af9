#include "billing/adapters/roles.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/pg/connect.h"
#include "tests/integration/billing/house.h"

namespace tidegate::billing {
namespace {

struct RolesTest : House {
  std::unique_ptr<pqxx::connection> connect_as(const char* role) const {
    pg::ConnectOptions options;
    options.connection = config_.pg_dsn;
    options.application = "roles-test";
    options.role = role;
    return pg::connect(options);
  }
  /// One statement as this role. "" when it was let, else the reason.
  std::string as(const char* role, const std::string& sql) {
    const auto connection = connect_as(role);
    pqxx::work tx(*connection);
    try {
      tx.exec(sql);
      return "";
    } catch (const pqxx::insufficient_privilege&) {
      return "denied";
    } catch (const pqxx::sql_error& error) {
      return error.what();
    }
  }
  std::int64_t count_as(const char* role, const std::string& tenant, const std::string& table) {
    const auto connection = connect_as(role);
    pqxx::work tx(*connection);
    if (!tenant.empty()) scope_to_tenant(tx, tenant);
    return tx.exec1("SELECT count(*) FROM " + table)[0].as<std::int64_t>();
  }
};

/// A billing whose connections have the serving role, as deploy/up makes it.
struct ServingTest : RolesTest {
  ServingTest() {
    config_.pg_owner_dsn = config_.pg_dsn;
    config_.pg_role = kServeRole;
    restart();
  }
};

TEST_F(RolesTest, EveryTableHasARule) {
  pqxx::connection connection(config_.pg_dsn);
  pqxx::work tx(connection);
  const auto missing = tables_without_rule(tx);
  EXPECT_TRUE(missing.empty()) << fmt::format(
      "New tables: {}. Add each to kTables in billing/adapters/roles.cc: what the serving role may do with it (kAppend "
      "for history, kChange, kDelete), and the condition under which a row belongs to tenant $T, if rows belong to "
      "tenants.",
      fmt::join(missing, ", "));
}

TEST_F(RolesTest, WhoServesOwnsNothingAndCannotRewriteHistory) {
  for (const char* sql :
       {"DROP TABLE usage_log", "ALTER TABLE wallets ADD COLUMN x int", "CREATE TABLE mine (x int)",
        "TRUNCATE ledger_tx", "UPDATE ledger_entries SET amount = 1", "DELETE FROM ledger_tx",
        "UPDATE usage_log SET amount = 0", "DELETE FROM usage_log", "UPDATE receipt_batches SET key_id = ''",
        "DELETE FROM receipt_days", "INSERT INTO audit_entries SELECT * FROM audit_entries",
        "UPDATE audit_head SET size = 0", "DELETE FROM audit_pending", "DELETE FROM tenants", "DELETE FROM wallets",
        "ALTER TABLE usage_log DISABLE TRIGGER ALL", "ALTER TABLE wallets DISABLE ROW LEVEL SECURITY",
        "SET session_replication_role = replica"}) {
    const std::string answer = as(kServeRole, sql);
    EXPECT_TRUE(answer == "denied" || answer.find("must be owner") != std::string::npos) << sql << ": " << answer;
  }
  EXPECT_EQ(query(fmt::format("SELECT count(*) FROM pg_class WHERE relowner = '{}'::regrole", kServeRole)), "0");
}

TEST_F(RolesTest, WhoReadsChangesNothingAndSeesNoMac) {
  for (const char* sql : {"UPDATE tenants SET name = 'x'", "INSERT INTO gateways VALUES ('x')", "DELETE FROM caps",
                          "SELECT mac FROM api_keys", "SELECT * FROM api_keys", "SELECT mac FROM admin_keys"}) {
    EXPECT_EQ(as(kReadRole, sql), "denied") << sql;
  }
  EXPECT_EQ(as(kReadRole, "SELECT public_id FROM api_keys"), "");
  EXPECT_EQ(as(kReadRole, "SELECT * FROM usage_hourly"), "");
}

TEST_F(ServingTest, EverythingBillingDoesWorksWithTheServingRole) {
  const Customer acme = make_customer("acme", "10");
  const auto epoch = open_epoch();
  const auto lease = accounts(&AccountsApi::AcquireLease, lease_request(acme, epoch, "1")).value();
  const auto ack = submit(make_batch(epoch, {make_event(acme, lease, 1), make_event(acme, lease, 2)}));
  ASSERT_TRUE(ack) << ack.error().to_string();
  v1::CloseEpochRequest close;
  close.set_gateway_id("g1");
  close.set_epoch(epoch);
  close.set_last_sequence(2);
  ASSERT_TRUE(accounts(&AccountsApi::CloseEpoch, close));
  v1::RevokeKeyRequest revoke;
  revoke.set_key_id(acme.key.key().key_id());
  ASSERT_TRUE(admin(&AdminApi::RevokeKey, revoke));
  expect_reconciled();
}

TEST_F(ServingTest, ASessionOfOneTenantSeesNoRowOfAnother) {
  const auto epoch = open_epoch();
  std::vector<std::string> tenants;
  std::uint64_t sequence = 0;
  for (const char* name : {"acme", "other"}) {
    const Customer customer = make_customer(name, "10");
    const auto lease = accounts(&AccountsApi::AcquireLease, lease_request(customer, epoch, "1")).value();
    ASSERT_TRUE(submit(make_batch(epoch, {make_event(customer, lease, ++sequence)})));
    tenants.push_back(customer.tenant.tenant_id());
  }
  for (const char* role : {kServeRole, kReadRole}) {
    for (const char* table : {"tenants", "projects", "(SELECT id FROM api_keys) k", "wallets", "ledger_tx",
                              "ledger_entries", "usage_log", "usage_events", "rated_lines", "usage_hourly", "leases"}) {
      const auto all = count_as(role, "", table);
      const auto mine = count_as(role, tenants[0], table);
      const auto theirs = count_as(role, tenants[1], table);
      EXPECT_GT(mine, 0) << table;
      EXPECT_GT(theirs, 0) << table;
      EXPECT_EQ(mine + theirs, all) << role << " " << table;
    }
    EXPECT_EQ(count_as(role, "00000000-0000-0000-0000-000000000000", "usage_log"), 0);
  }
}

}  // namespace
}  // namespace tidegate::billing
