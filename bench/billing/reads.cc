#include "bench/billing/reads.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <pqxx/connection>
#include <pqxx/transaction>

#include "base/pg/connect.h"
#include "billing/adapters/usage_query.h"
#include "billing/adapters/wallet_store.h"

namespace tidegate::bench {

namespace {

constexpr const char* kByDayAndModel = R"sql(
  SELECT date_trunc('day', hour, 'UTC'), model, meter, sum(quantity), sum(amount) FROM usage_hourly
   WHERE tenant_id = $1::uuid AND hour >= now() - interval '400 days' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3)sql";
constexpr const char* kInvoiceLines = R"sql(
  SELECT project_id, model, meter, band, currency, sum(quantity), sum(amount) FROM usage_hourly
   WHERE tenant_id = $1::uuid AND hour >= date_trunc('month', now(), 'UTC') - interval '1 month'
     AND hour < date_trunc('month', now(), 'UTC') + interval '1 month'
   GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5)sql";

ReadFigures timed(const std::string& what, int repeats, const std::function<void(int)>& ask) {
  std::vector<double> ms;
  for (int i = 0; i < repeats; ++i) {
    const auto started = std::chrono::steady_clock::now();
    ask(i);
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started).count());
  }
  std::sort(ms.begin(), ms.end());
  return {what, ms[ms.size() / 2], ms[ms.size() * 95 / 100]};
}

}  // namespace

std::vector<ReadFigures> measure_reads(const std::string& dsn, const TownOptions& options, int repeats) {
  const auto connection = pg::connect({.connection = dsn, .application = "bench"});
  pqxx::work tx(*connection);
  auto tenant = [&](int i) { return TenantId{town_id(1, i % options.tenants)}; };
  return {
      timed("balance of a wallet", repeats,
            [&](int i) { (void)billing::find_wallet(tx, WalletId{town_id(4, i % options.tenants)}); }),
      timed("usage of a tenant by day and model", repeats,
            [&](int i) { tx.exec_params(kByDayAndModel, tenant(i).to_string()); }),
      timed("lines of one invoice", repeats, [&](int i) { tx.exec_params(kInvoiceLines, tenant(i).to_string()); }),
      timed("newest 100 requests of a tenant", repeats,
            [&](int i) {
              billing::UsageFilter filter;
              filter.tenant = tenant(i);
              billing::PageOf page;
              page.limit = 100;
              (void)billing::list_usage(tx, filter, page);
            }),
  };
}

}  // namespace tidegate::bench
