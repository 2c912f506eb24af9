#include "tests/integration/billing/house.h"

#include "billing/adapters/reconcile.h"

namespace tidegate::billing {
namespace {

/// Usage of two batches and a return, all sound. Each test then breaks one thing by hand.
class Reconcile : public House {
 protected:
  Reconcile() : customer_(make_customer("acme", "10")), epoch_(open_epoch()) {
    lease_ = accounts(&AccountsApi::AcquireLease, lease_request(customer_, epoch_, "1")).value();
    EXPECT_TRUE(
        submit(make_batch(epoch_, {make_event(customer_, lease_, 1), make_event(customer_, lease_, 2)})));
    EXPECT_TRUE(submit(make_batch(epoch_, {make_event(customer_, lease_, 3)})));
  }
  void expect_broken(const std::string& sql, const std::string& checks) {
    expect_reconciled();
    force(sql);
    EXPECT_EQ(broken_checks(), checks) << sql;
  }
  Customer customer_;
  std::uint64_t epoch_;
  v1::Lease lease_;
};

TEST_F(Reconcile, SoundBooksHaveNoDifferences) {
  const auto report = reconcile_now();
  EXPECT_EQ(report.differences(), 0);
  EXPECT_EQ(report.events(), 3);
  EXPECT_EQ(report.checks_size(), static_cast<int>(reconcile_checks().size()) + 1) << "with I14, which is not a query";
}

TEST_F(Reconcile, I1SeesAnUnbalancedTransaction) {
  expect_broken(
      "UPDATE ledger_entries SET amount = amount + 0.000000000001 WHERE tx = (SELECT id FROM ledger_tx WHERE "
      "source_type = 'top_up') AND amount > 0",
      "I1");
}
TEST_F(Reconcile, I1SeesATransactionWithoutEntries) {
  expect_broken(
      "DELETE FROM ledger_entries WHERE tx = (SELECT id FROM ledger_tx WHERE source_type = 'top_up')",
      "I1 I2");
}
TEST_F(Reconcile, I2SeesOnePicoInAWallet) {
  expect_broken("UPDATE wallets SET balance = balance + 0.000000000001", "I2");
}
TEST_F(Reconcile, I4SeesALostLine) {
  expect_broken("UPDATE usage_log SET output = 0, reasoning = 0 WHERE seq = 3", "I4 I12 I11");
}
TEST_F(Reconcile, I3SeesRevenueThatNoLineExplains) {
  force("ALTER TABLE usage_log DROP CONSTRAINT usage_log_check2");
  expect_broken("UPDATE usage_log SET posting = NULL WHERE seq = 3", "I3");
}
TEST_F(Reconcile, I3SeesADiscountThatNoPostingHas) {
  expect_broken(
      "INSERT INTO posting_lines SELECT posting, 1, date_trunc('hour', completed_at), (SELECT id FROM "
      "usage_cells), "
      "'discount', 0, -0.000000000001 FROM usage_log WHERE seq = 3",
      "I3 I11");
}
TEST_F(Reconcile, I4SeesOnePicoInAnEvent) {
  expect_broken("UPDATE usage_log SET amount = amount + 0.000000000001 WHERE seq = 1", "I3 I4 I12 lease_spend");
}
TEST_F(Reconcile, I4SeesTokensMovedBetweenMeters) {
  expect_broken("UPDATE usage_log SET hit = hit + 1, miss = miss - 1 WHERE seq = 1", "I4 I12 I11");
}
TEST_F(Reconcile, RefsSeesARowWithoutItsTariff) {
  expect_broken("UPDATE usage_log SET tariff = 0 WHERE seq = 3", "I4 I11 refs");
}
TEST_F(Reconcile, RefsSeesARowOfAnotherTenant) {
  expect_broken("UPDATE usage_log SET tenant = tenant + 1 WHERE seq = 3", "refs");
}
TEST_F(Reconcile, I6SeesAnInstantOutsideThePriceVersion) {
  expect_broken("UPDATE price_versions SET effective = tstzrange('2026-11-21', NULL) WHERE model = 'm'",
                "I6 I12");
}
TEST_F(Reconcile, I6SeesTheWrongBand) {
  expect_broken("UPDATE price_windows SET end_s = 10 * 3600", "I6 I12");
}
TEST_F(Reconcile, I6SeesAHolidayForgotten) {
  expect_broken("INSERT INTO calendars VALUES ('CN', 1, '2026-11-20')", "I6 I12");
}
TEST_F(Reconcile, I12SeesAnotherRateThanTheBooks) {
  expect_broken(
      "UPDATE price_rates SET micro_per_1m = micro_per_1m + 1 WHERE band = 'peak' AND meter = 'output'",
      "I12");
}
TEST_F(Reconcile, I6SeesAPriceInstantThatNobodyChose) {
  expect_broken("UPDATE usage_log SET priced_at = completed_at - interval '1 second' WHERE seq = 1", "I6 I12");
}
TEST_F(Reconcile, I7SeesAGrantThatDoesNotAddUp) {
  expect_broken(
      "INSERT INTO grants SELECT gen_random_uuid(), id, 5, 1, 1, now(), now() + interval '1 day' FROM "
      "wallets",
      "I7");
}
TEST_F(Reconcile, I7SeesAUseAfterTheExpiry) {
  expect_broken(
      "WITH g AS (INSERT INTO grants SELECT gen_random_uuid(), id, 5, 1, 1, now() - interval '2 day', now() "
      "- interval "
      "'1 day' FROM wallets RETURNING id) INSERT INTO grant_uses SELECT g.id, t.id, 1, now() FROM g, "
      "ledger_tx t WHERE "
      "t.source_type = 'top_up'",
      "I7");
}
TEST_F(Reconcile, I8SeesALeaseReset) {
  expect_broken("UPDATE leases SET consumed = 0", "I8 lease_spend");
}
TEST_F(Reconcile, I8SeesMoneyStrandedInAWallet) {
  expect_broken("UPDATE wallets SET leased = leased + 0.000000000001", "I8");
}
TEST_F(Reconcile, I9SeesALostEvent) {
  expect_broken("DELETE FROM usage_log WHERE seq = 2", "I3 I9 I11 lease_spend");
}
TEST_F(Reconcile, I9SeesALostBatch) {
  expect_broken("DELETE FROM wal_batches WHERE lower(seqs) = 1", "I9");
}
TEST_F(Reconcile, I9SeesASequenceTwice) {
  expect_broken("UPDATE usage_log SET seq = 1 WHERE seq = 2", "I9");
}
TEST_F(Reconcile, I11SeesARollupThatDrifted) {
  expect_broken("UPDATE usage_hours SET output_amount = output_amount + 0.000000000001", "I11");
}
TEST_F(Reconcile, NoOverspendIsCheckedEvenWithoutItsConstraint) {
  expect_reconciled();
  force(
      "ALTER TABLE wallets DROP CONSTRAINT wallets_never_overspent; UPDATE wallets SET leased = 100; UPDATE "
      "leases SET "
      "amount = 100 + consumed");
  EXPECT_EQ(broken_checks(), "no_overspend");
}

TEST_F(Reconcile, TheSchemaItselfRefusesWhatItCan) {
  auto refused = [&](const std::string& sql) {
    pqxx::connection connection(config_.pg_dsn);
    try {
      pqxx::work tx(connection);
      tx.exec(sql);
      tx.commit();
      return false;
    } catch (const pqxx::sql_error&) {
      return true;
    }
  };
  EXPECT_TRUE(refused("UPDATE ledger_entries SET amount = 1"));
  EXPECT_TRUE(refused("DELETE FROM usage_log"));
  EXPECT_TRUE(refused("UPDATE usage_log SET amount = amount + 1"));
  EXPECT_TRUE(refused("DELETE FROM usage_payers"));
  EXPECT_TRUE(refused("UPDATE usage_routes SET model = 'other'"));
  EXPECT_TRUE(refused("UPDATE usage_tariffs SET output_micro_per_1m = 0"));
  EXPECT_TRUE(refused("UPDATE usage_cells SET model = 'other'"));
  EXPECT_TRUE(
      refused("INSERT INTO ledger_entries SELECT tx, 9, account, currency, 1 FROM ledger_entries LIMIT 1"));
  EXPECT_TRUE(refused("UPDATE rated_lines SET amount = amount + 0.000000000001"));
  EXPECT_TRUE(refused("INSERT INTO usage_log SELECT * FROM usage_log LIMIT 1")) << "an id is stored once";
  EXPECT_TRUE(refused("UPDATE wallets SET leased = 1000"));
  EXPECT_TRUE(
      refused("INSERT INTO wal_batches SELECT gateway_id, epoch, int8range(2, 3), 0, sha256, now() FROM "
              "wal_batches LIMIT 1"));
  EXPECT_TRUE(
      refused("INSERT INTO price_versions (book, model, currency, effective, basis, sha256) SELECT 'x', "
              "model, currency, "
              "tstzrange('2026-01-01', NULL), basis, sha256 FROM price_versions LIMIT 1"));
  expect_reconciled();
}

}  // namespace
}  // namespace tidegate::billing
