#include "billing/adapters/balance_view.h"

#include <fmt/format.h>

#include "base/pg/types.h"

namespace tidegate::billing {

namespace {

constexpr const char* kFindBalance = R"sql(
  SELECT w.currency, coalesce(g.in_force, 0), w.balance - coalesce(g.all_left, 0), w.credit_limit
    FROM wallets w
    LEFT JOIN LATERAL (
      SELECT sum(amount - consumed - lapsed) AS all_left,
             sum(amount - consumed - lapsed) FILTER (WHERE voided_at IS NULL AND expires_at > $3::timestamptz) AS in_force
        FROM grants WHERE wallet_id = w.id AND consumed + lapsed < amount) g ON true
   WHERE w.id = $1::uuid AND w.tenant_id = $2::uuid)sql";

}  // namespace

Result<BalanceView> find_balance(pqxx::work& tx, TenantId tenant, WalletId wallet, Wall now) {
  const auto rows = tx.exec_params(kFindBalance, pg::to_sql(wallet), pg::to_sql(tenant), pg::to_sql(now));
  if (rows.empty()) {
    return fail(Code::kNotFound, "unknown_wallet", fmt::format("there is no wallet {}", wallet.to_string()),
                "wallet_id");
  }
  BalanceView view;
  view.currency = pg::read_text(rows[0][0]);
  view.granted = pg::read_money(rows[0][1]);
  view.topped_up = pg::read_money(rows[0][2]);
  view.credit_limit = pg::read_money(rows[0][3]);
  return view;
}

}  // namespace tidegate::billing
