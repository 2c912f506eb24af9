#include "billing/adapters/tenant_view.h"

#include "base/pg/types.h"

namespace tidegate::billing {

namespace {

constexpr const char* kTop = R"sql(
  WITH recent AS (
    SELECT tenant_id, sum(amount) AS spent FROM usage_hourly WHERE hour > now() - interval '24 hours' GROUP BY tenant_id),
  top AS (
    SELECT t.id, t.name FROM tenants t LEFT JOIN recent r ON r.tenant_id = t.id
     ORDER BY r.spent DESC NULLS LAST, t.id DESC LIMIT $1) )sql";

constexpr const char* kWallets = R"sql(
  SELECT top.name, w.currency, w.balance, w.balance + w.credit_limit - w.leased
    FROM top JOIN wallets w ON w.tenant_id = top.id ORDER BY 1, 2)sql";

constexpr const char* kTopUsage = R"sql(
  SELECT top.name, h.model, h.meter, h.band, h.currency, sum(h.quantity)::bigint, sum(h.amount)
    FROM top JOIN usage_hourly h ON h.tenant_id = top.id WHERE h.hour > now() - interval '24 hours'
   GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5)sql";

}  // namespace

Result<TenantView> load_tenant_view(pqxx::work& tx, int tenants_max) {
  static const std::string kWalletsOfTop = std::string(kTop) + kWallets;
  static const std::string kUsageOfTop = std::string(kTop) + kTopUsage;
  TenantView view;
  for (const auto& row : tx.exec_params(kWalletsOfTop, tenants_max)) {
    view.wallets.push_back({pg::read_text(row[0]), pg::read_text(row[1]), pg::read_money(row[2]), pg::read_money(row[3])});
  }
  for (const auto& row : tx.exec_params(kUsageOfTop, tenants_max)) {
    view.usage.push_back({pg::read_text(row[0]), pg::read_text(row[1]), pg::read_text(row[2]), pg::read_text(row[3]),
                          pg::read_text(row[4]), pg::read_int64(row[5]), pg::read_money(row[6])});
  }
  return view;
}

}  // namespace tidegate::billing
