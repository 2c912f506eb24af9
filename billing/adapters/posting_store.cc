#include "billing/adapters/posting_store.h"

#include "base/core/check.h"
#include "base/pg/binary_array.h"
#include "base/pg/statement.h"
#include "base/pg/types.h"
#include "billing/adapters/usage_rows.h"

namespace tidegate::billing {

namespace {

using pg::BinaryArray;
using pg::ElementType;

constexpr pg::Statement kInsertTx{"ledger_insert_tx", R"sql(
  INSERT INTO ledger_tx (id, source_type, source_id, wallet_id, effective_at, posted_at, note, reverses, actor)
  SELECT t.id, t.type, t.source, t.wallet, t.effective, $1::timestamptz, t.note, t.reverses, t.actor
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[], $7::text[], $8::uuid[], $9::text[])
      AS t(id, type, source, wallet, effective, note, reverses, actor))sql"};
/// An account is the grant's, the wallet's or the house's, each found by its own unique index. None found is
/// a null, which the table refuses.
constexpr pg::Statement kInsertEntries{"ledger_insert_entries", R"sql(
  INSERT INTO ledger_entries (tx, line, currency, amount, account)
  SELECT e.tx, e.line, e.currency, e.amount, CASE
           WHEN e.grant_id IS NOT NULL THEN (SELECT a.id FROM ledger_accounts a WHERE a.grant_id = e.grant_id)
           WHEN e.wallet IS NOT NULL THEN (SELECT a.id FROM ledger_accounts a
                                            WHERE a.wallet_id = e.wallet AND a.kind = e.kind AND a.grant_id IS NULL)
           ELSE (SELECT a.id FROM ledger_accounts a
                  WHERE a.kind = e.kind AND a.currency = e.currency AND a.wallet_id IS NULL) END
    FROM unnest($1::uuid[], $2::int[], $3::text[], $4::numeric[], $5::text[], $6::uuid[], $7::uuid[])
      AS e(tx, line, currency, amount, kind, wallet, grant_id))sql"};

constexpr pg::Statement kInsertExtra{"ledger_insert_extra", R"sql(
  INSERT INTO posting_lines (posting, line, hour, cell, meter, quantity, amount, note)
  SELECT * FROM unnest($1::uuid[], $2::int[], $3::timestamptz[], $4::int[], $5::text[], $6::numeric[], $7::numeric[],
                       $8::text[]))sql"};
constexpr pg::Statement kLockWallets{"ledger_lock_wallets", R"sql(
  SELECT id FROM wallets WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE)sql"};
constexpr pg::Statement kMoveWallets{"ledger_move_wallets", R"sql(
  UPDATE wallets w SET balance = w.balance + m.balance, leased = w.leased + m.leased
    FROM unnest($1::uuid[], $2::numeric[], $3::numeric[]) AS m(id, balance, leased) WHERE w.id = m.id)sql"};

void write_extra_lines(pqxx::work& tx, const std::vector<LedgerTx>& transactions, UsageDimensions& dimensions) {
  std::vector<CellKey> keys;
  for (const auto& transaction : transactions) {
    for (const auto& line : transaction.extra) keys.push_back(line.cell);
  }
  if (keys.empty()) return;
  const auto numbers = dimensions.cells(tx, keys);
  BinaryArray posting(ElementType::kUuid), line_no(ElementType::kInt4), note(ElementType::kText);
  ExtraHours hours;
  std::size_t next = 0;
  for (const auto& transaction : transactions) {
    std::int32_t number = 0;
    for (const auto& line : transaction.extra) {
      posting.add(transaction.id);
      line_no.add(++number);
      hours.hour.add(line.hour);
      hours.cell.add(numbers[next++]);
      hours.meter.add_text(line.meter);
      hours.quantity.add_count(line.quantity);
      hours.amount.add(line.amount);
      note.add_text(line.note);
    }
  }
  pg::run(tx, kInsertExtra, posting.param(), line_no.param(), hours.hour.param(), hours.cell.param(),
          hours.meter.param(), hours.quantity.param(), hours.amount.param(), note.param());
  add_extra_hours(tx, hours);
}

}  // namespace

void write_ledger(pqxx::work& tx, const std::vector<LedgerTx>& transactions, Wall now, UsageDimensions& dimensions) {
  if (transactions.empty()) return;
  BinaryArray id(ElementType::kUuid), type(ElementType::kText), source(ElementType::kText), wallet(ElementType::kUuid),
      effective(ElementType::kTimestamptz), note(ElementType::kText), reverses(ElementType::kUuid),
      actor(ElementType::kText);
  BinaryArray entry_tx(ElementType::kUuid), entry_line(ElementType::kInt4), entry_currency(ElementType::kText),
      entry_amount(ElementType::kNumeric), entry_kind(ElementType::kText), entry_wallet(ElementType::kUuid),
      entry_grant(ElementType::kUuid);
  for (const auto& transaction : transactions) {
    TG_CHECK(!transaction.entries.empty() && is_balanced(transaction.entries));
    id.add(transaction.id);
    type.add_text(transaction.source_type);
    source.add_text(transaction.source_id);
    wallet.add(transaction.wallet);
    effective.add(transaction.effective_at);
    note.add_text(transaction.note);
    transaction.reverses ? reverses.add(*transaction.reverses) : reverses.add_null();
    actor.add_text(transaction.actor);
    std::int32_t line = 0;
    for (const auto& entry : transaction.entries) {
      entry_tx.add(transaction.id);
      entry_line.add(++line);
      entry_currency.add_text(transaction.currency);
      entry_amount.add(entry.amount);
      entry_kind.add_text(account_kind_name(entry.account));
      is_wallet_account(entry.account) ? entry_wallet.add(transaction.wallet) : entry_wallet.add_null();
      entry.account == AccountKind::kGrant ? entry_grant.add(entry.grant) : entry_grant.add_null();
    }
  }
  pg::run(tx, kInsertTx, pg::to_sql(now), id.param(), type.param(), source.param(), wallet.param(), effective.param(),
          note.param(), reverses.param(), actor.param());
  pg::run(tx, kInsertEntries, entry_tx.param(), entry_line.param(), entry_currency.param(), entry_amount.param(),
          entry_kind.param(), entry_wallet.param(), entry_grant.param());
  write_extra_lines(tx, transactions, dimensions);
}

void lock_wallets(pqxx::work& tx, const std::vector<WalletId>& wallets) {
  BinaryArray ids(ElementType::kUuid, wallets.size());
  for (const WalletId& wallet : wallets) ids.add(wallet);
  pg::run(tx, kLockWallets, ids.param());
}

void move_wallets(pqxx::work& tx, const std::vector<WalletMove>& moves) {
  BinaryArray ids(ElementType::kUuid), balance(ElementType::kNumeric), leased(ElementType::kNumeric);
  for (const auto& move : moves) {
    ids.add(move.wallet);
    balance.add(move.balance);
    leased.add(move.leased);
  }
  pg::run(tx, kMoveWallets, ids.param(), balance.param(), leased.param());
}

void prefer_indexes(pqxx::work& tx) { tx.exec0("SET LOCAL enable_seqscan = off"); }

}  // namespace tidegate::billing
