#pragma once

#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "billing/adapters/account_store.h"
#include "billing/core/usage_event.h"

/// Reading what was billed. Everything runs in the caller's transaction.
namespace tidegate::billing {

struct LineRow {
  std::string meter;
  std::int64_t quantity = 0;
  std::int64_t micro_per_million = 0;
  Money amount;
};
struct UsageRow {
  UsageEvent event;
  std::string tenant_name, gateway, price_book, ledger_tx;
  std::int64_t epoch = 0;
  std::vector<LineRow> lines;
};
struct UsageFilter {
  std::optional<TenantId> tenant;
  std::optional<Uuid> request;
  std::optional<Wall> from, to;  ///< of completion, half-open
};
/// Newest first; `page.after` is the last request id of the page before.
std::vector<UsageRow> list_usage(pqxx::work& tx, const UsageFilter& filter, const PageOf& page);

struct UsageSumRow {
  std::string tenant_name, project_name, model, meter, band, currency, region, pool;
  Wall hour;
  std::int64_t quantity = 0;
  Money amount;
};
/// Hours newest first, at most 10,000 rows.
std::vector<UsageSumRow> sum_usage(pqxx::work& tx, const UsageFilter& filter);

}  // namespace tidegate::billing
