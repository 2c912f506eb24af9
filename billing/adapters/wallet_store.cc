#include "billing/adapters/wallet_store.h"

#include <fmt/format.h>

#include "base/pg/types.h"
#include "billing/adapters/change_log.h"
#include "billing/core/posting.h"

namespace tidegate::billing {

namespace {

constexpr const char* kWalletSelect = R"sql(
  SELECT w.id, w.tenant_id, t.name, w.currency, w.balance, w.leased, w.credit_limit
    FROM wallets w JOIN tenants t ON t.id = w.tenant_id )sql";

constexpr const char* kInsertTopUpTx = R"sql(
  INSERT INTO ledger_tx (id, source_type, source_id, wallet_id, effective_at, posted_at, note)
  VALUES ($1, 'top_up', $2, $3, $4, $4, $5) ON CONFLICT (source_type, source_id) DO NOTHING RETURNING id)sql";
constexpr const char* kFindTopUp = R"sql(
  SELECT t.wallet_id, -e.amount FROM ledger_tx t
    JOIN ledger_entries e ON e.tx = t.id JOIN ledger_accounts a ON a.id = e.account AND a.kind = 'prepaid'
   WHERE t.source_type = 'top_up' AND t.source_id = $1)sql";
constexpr const char* kInsertTopUpEntries = R"sql(
  INSERT INTO ledger_entries (tx, line, account, currency, amount)
  SELECT $1::uuid, e.line, a.id, a.currency, e.amount
    FROM unnest($2::text[], $3::numeric[]) WITH ORDINALITY AS e(kind, amount, line)
    JOIN ledger_accounts a ON a.kind = e.kind AND a.currency = $4 AND (a.wallet_id IS NULL OR a.wallet_id = $5))sql";
/// Alerts count from what could be spent right after a credit.
constexpr const char* kCredit = R"sql(
  UPDATE wallets SET balance = balance + $2::numeric, credits = credits + 1,
         full_mark = balance + $2::numeric + credit_limit WHERE id = $1)sql";
constexpr const char* kSetCreditLimit = R"sql(
  UPDATE wallets SET credit_limit = $2::numeric, credits = credits + 1, full_mark = balance + $2::numeric
   WHERE id = $1 AND balance + $2::numeric - leased >= 0)sql";

constexpr const char* kListLedger = R"sql(
  WITH page AS (
    SELECT t.id FROM ledger_tx t JOIN wallets w ON w.id = t.wallet_id
     WHERE ($1 = '' OR w.tenant_id = nullif($1, '')::uuid) AND ($2 = '' OR t.id < nullif($2, '')::uuid)
     ORDER BY t.id DESC LIMIT $3)
  SELECT t.id, t.source_type, t.source_id, (extract(epoch FROM t.effective_at) * 1000000)::bigint,
         (extract(epoch FROM t.posted_at) * 1000000)::bigint, a.kind, e.currency, e.amount
    FROM page JOIN ledger_tx t ON t.id = page.id
    JOIN ledger_entries e ON e.tx = t.id JOIN ledger_accounts a ON a.id = e.account
   ORDER BY t.id DESC, e.line)sql";

WalletRow read_wallet(const pqxx::row& row) {
  return {pg::read_id<WalletId>(row[0]), pg::read_id<TenantId>(row[1]), pg::read_text(row[2]), pg::read_text(row[3]),
          pg::read_money(row[4]),        pg::read_money(row[5]),        pg::read_money(row[6])};
}

}  // namespace

Result<WalletRow> find_wallet(pqxx::work& tx, WalletId wallet) {
  static const std::string kFind = std::string(kWalletSelect) + "WHERE w.id = $1";
  const auto rows = tx.exec_params(kFind, pg::to_sql(wallet));
  if (!rows.empty()) return read_wallet(rows[0]);
  return fail(Code::kNotFound, "unknown_wallet", fmt::format("there is no wallet {}", wallet.to_string()), "wallet_id");
}

std::vector<WalletRow> list_wallets(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page) {
  static const std::string kList = std::string(kWalletSelect) + R"sql(
    WHERE ($1 = '' OR w.tenant_id = nullif($1, '')::uuid) AND ($2 = '' OR w.id > nullif($2, '')::uuid)
    ORDER BY w.id LIMIT $3)sql";
  std::vector<WalletRow> out;
  for (const auto& row : tx.exec_params(kList, tenant ? tenant->to_string() : "", after_text(page), page.limit)) {
    out.push_back(read_wallet(row));
  }
  return out;
}

Result<WalletRow> top_up(pqxx::work& tx, const TopUp& request, Wall now) {
  if (request.amount <= Money()) {
    return fail(Code::kInvalidArgument, "bad_amount", "a top-up is greater than zero", "amount");
  }
  TG_ASSIGN(const auto wallet, find_wallet(tx, request.wallet));
  const auto inserted = tx.exec_params(kInsertTopUpTx, pg::to_sql(request.tx_id), pg::to_sql(request.top_up_id),
                                       pg::to_sql(request.wallet), pg::to_sql(now), request.note);
  if (inserted.empty()) {
    const auto before = tx.exec_params1(kFindTopUp, pg::to_sql(request.top_up_id));
    if (pg::read_id<WalletId>(before[0]) != request.wallet || pg::read_money(before[1]) != request.amount) {
      return fail(Code::kAlreadyExists, "top_up_differs",
                  fmt::format("top-up {} was made with another wallet or amount; use a new id", request.top_up_id.to_string()),
                  "top_up_id");
    }
    return find_wallet(tx, request.wallet);
  }
  pg::ArrayLiteral kinds, amounts;
  for (const auto& entry : top_up_entries(request.amount)) {
    kinds.add(account_kind_name(entry.account));
    amounts.add(entry.amount);
  }
  tx.exec_params0(kInsertTopUpEntries, pg::to_sql(request.tx_id), kinds.text(), amounts.text(), wallet.currency,
                  pg::to_sql(request.wallet));
  tx.exec_params0(kCredit, pg::to_sql(request.wallet), pg::to_sql(request.amount));
  append_changes(tx, ChangeKind::kWallet, {request.wallet.to_string()});
  return find_wallet(tx, request.wallet);
}

Result<WalletRow> set_credit_limit(pqxx::work& tx, WalletId wallet, Money limit) {
  if (limit.is_negative()) return fail(Code::kInvalidArgument, "bad_amount", "credit_limit must be >= 0", "credit_limit");
  TG_ASSIGN(const auto before, find_wallet(tx, wallet));
  const auto set = tx.exec_params0(kSetCreditLimit, pg::to_sql(wallet), pg::to_sql(limit));
  if (set.affected_rows() == 0) {
    return fail(Code::kFailedPrecondition, "credit_in_use",
                fmt::format("the wallet's balance is {} and {} of it is leased: the limit cannot be below {}",
                            before.balance.to_string(), before.leased.to_string(),
                            (before.leased - before.balance).to_string()),
                "credit_limit");
  }
  if (before.credit_limit < limit) append_changes(tx, ChangeKind::kWallet, {wallet.to_string()});
  return find_wallet(tx, wallet);
}

std::vector<LedgerTxRow> list_ledger(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page) {
  std::vector<LedgerTxRow> out;
  for (const auto& row : tx.exec_params(kListLedger, tenant ? tenant->to_string() : "", after_text(page), page.limit)) {
    const Uuid id = pg::read_uuid(row[0]);
    if (out.empty() || out.back().id != id) {
      out.push_back({id, pg::read_text(row[1]), pg::read_text(row[2]), pg::read_wall(row[3]), pg::read_wall(row[4]), {}});
    }
    out.back().entries.push_back({pg::read_text(row[5]), pg::read_text(row[6]), pg::read_money(row[7])});
  }
  return out;
}

}  // namespace tidegate::billing
