#include <gtest/gtest.h>

#include <pqxx/connection>
#include <pqxx/transaction>

#include "base/pg/migrate.h"
#include "billing/adapters/reconcile.h"
#include "billing/migrations/migrations.h"
#include "tests/support/pg/pg_server.h"

namespace tidegate::billing {
namespace {

/// What the schema held when usage was three lines an event: two events in two months, one of them free.
constexpr const char* kOldUsage = R"sql(
  INSERT INTO tenants VALUES ('00000000-0000-7000-8000-000000000001', 'acme', 'UTC', 'USD', false, now());
  INSERT INTO projects VALUES ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001', 'p', now());
  INSERT INTO api_keys VALUES ('00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-000000000002', 'k',
                               sha256('k'), 'k', '{}', now());
  INSERT INTO wallets VALUES ('00000000-0000-7000-8000-000000000004', '00000000-0000-7000-8000-000000000001', 'USD',
                              10 - 0.00000085, 1 - 0.00000085);
  INSERT INTO ledger_accounts (wallet_id, kind, currency) VALUES
    ('00000000-0000-7000-8000-000000000004', 'prepaid', 'USD'), (NULL, 'cash', 'USD'), (NULL, 'revenue', 'USD');
  INSERT INTO gateways VALUES ('g1');
  INSERT INTO epochs VALUES ('g1', 1, '00000000-0000-7000-8000-000000000005', 'local', 2, now());
  INSERT INTO leases VALUES ('00000000-0000-7000-8000-000000000006', '00000000-0000-7000-8000-000000000004', 'g1', 1, 1,
                             0.00000085, 'open', now(), now());
  INSERT INTO price_versions (book, model, currency, effective, basis, sha256)
    VALUES ('tide', 'm', 'USD', tstzrange('2020-01-01', NULL), 'completed_at', sha256('m'));
  INSERT INTO price_schedules VALUES (1, 0, 'flat', true, 'UTC', '{}');
  INSERT INTO price_rates VALUES (1, 'flat', 'input_cache_hit', 1000), (1, 'flat', 'input_cache_miss', 2000), (1, 'flat', 'output', 4000);
  INSERT INTO ledger_tx VALUES
    ('00000000-0000-7000-8000-000000000011', 'top_up', 't', '00000000-0000-7000-8000-000000000004', now(), now()),
    ('00000000-0000-7000-8000-000000000012', 'usage_batch', 'g1/1/1/w', '00000000-0000-7000-8000-000000000004', now(), now());
  INSERT INTO ledger_entries SELECT t.tx::uuid, t.line, a.id, 'USD', t.amount FROM (VALUES
    ('00000000-0000-7000-8000-000000000011', 1, 'cash', 10), ('00000000-0000-7000-8000-000000000011', 2, 'prepaid', -10),
    ('00000000-0000-7000-8000-000000000012', 1, 'prepaid', 0.00000085),
    ('00000000-0000-7000-8000-000000000012', 2, 'revenue', -0.00000085)) t(tx, line, kind, amount)
    JOIN ledger_accounts a ON a.kind = t.kind;
  INSERT INTO wal_batches VALUES ('g1', 1, int8range(1, 3), 0, sha256('b'), now());
  INSERT INTO usage_events SELECT e.id::uuid, sha256('e'), '00000000-0000-7000-8000-000000000001',
      '00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-000000000004',
      e.lease::uuid, 'm', 'fp8', 'local', 'cpu', 'w1', 'sha256:0', 'g1', 1, e.seq, 'completed', 'stop', e.at, e.at, e.at, 0,
      e.at, e.hit + e.miss, e.hit, e.miss, e.output, 0, 1, 'flat', e.amount, true, 'http.chat'
    FROM (VALUES ('01900000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000006', 1, 50, 200, 100, 0.00000085,
                  '2026-11-20 02:30:00+00'::timestamptz),
                 ('019a8000-0000-7000-8000-000000000001', NULL, 2, 0, 0, 0, 0, '2026-11-20 03:30:00+00'))
      AS e(id, lease, seq, hit, miss, output, amount, at);
  INSERT INTO rated_lines (event_id, meter, price_version, band, quantity, micro_per_1m, amount, tzdata, posting)
    SELECT u.id, m.meter, 1, 'flat', m.quantity, m.micro, m.quantity * m.micro * 0.000000000001, '2025b',
           '00000000-0000-7000-8000-000000000012'
      FROM usage_events u CROSS JOIN LATERAL (VALUES ('input_cache_hit', u.hit, 1000), ('input_cache_miss', u.miss, 2000),
           ('output', u.output, 4000)) m(meter, quantity, micro);
  INSERT INTO usage_hourly SELECT date_trunc('hour', u.completed_at, 'UTC'), u.tenant_id, u.project_id, u.api_key_id, 'm',
      'local', 'cpu', l.meter, 'flat', 'USD', l.quantity, l.amount
    FROM usage_events u JOIN rated_lines l ON l.event_id = u.id WHERE l.quantity > 0;
)sql";

class UsageOfTheVersionBefore : public ::testing::Test {
 protected:
  UsageOfTheVersionBefore() {
    for (auto& migration : migrations()) (migration.version <= 4 ? before_ : after_).push_back(migration);
    migrate(before_);
    run(kOldUsage);
  }
  void migrate(const std::vector<pg::Migration>& steps) {
    const auto report =
        pg::migrate(dsn_, "billing", steps, Deadline::after(SystemClock().mono(), std::chrono::seconds(60)));
    failure_ = report ? "" : report.error().to_string();
  }
  void upgrade() { migrate(migrations()); }
  void run(const std::string& sql) {
    pqxx::connection connection(dsn_);
    pqxx::work tx(connection);
    tx.exec0("SET LOCAL session_replication_role = replica");
    tx.exec(sql);
    tx.commit();
  }
  std::string query(const std::string& sql) {
    pqxx::connection connection(dsn_);
    pqxx::work tx(connection);
    return tx.exec1(sql)[0].c_str();
  }

  std::string dsn_ = test::fresh_database();
  std::vector<pg::Migration> before_, after_;
  std::string failure_;
};

TEST_F(UsageOfTheVersionBefore, MovesIntoPartitionsAndReconciles) {
  const std::string lines = "SELECT string_agg(l::text, ' ' ORDER BY event_id, meter) FROM rated_lines l";
  const std::string events = "SELECT string_agg(e::text, ' ' ORDER BY id) FROM usage_events e";
  const std::string hours = "SELECT string_agg(h::text, ' ' ORDER BY hour, meter) FROM usage_hourly h";
  const std::string lines_before = query(lines), events_before = query(events), hours_before = query(hours);
  upgrade();
  ASSERT_EQ(failure_, "");
  EXPECT_EQ(query(lines), lines_before);
  EXPECT_EQ(query(events), events_before);
  EXPECT_EQ(query(hours), hours_before);
  EXPECT_EQ(query("SELECT count(DISTINCT tableoid) FROM usage_log"), "2");
  pqxx::connection connection(dsn_);
  pqxx::work tx(connection);
  for (const auto& check : reconcile(tx).checks)
    EXPECT_EQ(check.differences, 0) << check.name << " " << check.example;
}

TEST_F(UsageOfTheVersionBefore, IsLeftAloneWhenALineDoesNotFollowFromItsRate) {
  run("ALTER TABLE rated_lines DROP CONSTRAINT rated_lines_check; "
      "UPDATE rated_lines SET amount = amount + 0.000000000001 WHERE meter = 'output' AND quantity > 0");
  upgrade();
  EXPECT_NE(failure_.find("tidegate reconcile"), std::string::npos) << failure_;
  EXPECT_EQ(query("SELECT count(*) FROM rated_lines"), "6") << "the upgrade is one transaction";
}

}  // namespace
}  // namespace tidegate::billing
