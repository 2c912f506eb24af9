#pragma once

#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "billing/adapters/account_store.h"

/// Alerts on wallets and caps, and where they are sent, in PostgreSQL. Everything runs in the caller's transaction.
///
/// Of a cap, the period's spending counts against its limit; of a wallet, what was spent since the last credit against
/// what could be spent right after it. Thresholds: 50, 80, and 100, which is said when less than one percent is left:
/// the last request that does not fit any more leaves a rest.
namespace tidegate::billing {

struct AlertRow {
  Uuid id;
  TenantId tenant;
  std::string tenant_name, currency;
  std::string kind;  ///< "wallet" | "cap"
  Uuid subject, end_user;
  std::string period;
  int threshold = 0;  ///< percent
  Money limit, used;
  Wall raised;
  int attempts = 0;
  std::optional<Wall> delivered;
  std::string last_error;
};

/// Raises what is due, each once for ever; at most `limit`. How many.
std::size_t raise_alerts(pqxx::work& tx, IdSource& ids, int limit, Wall now);
/// Newest first.
std::vector<AlertRow> list_alerts(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page);

struct WebhookRow {
  TenantId tenant;
  std::string url, secret;
};
/// An empty URL removes it.
void set_webhook(pqxx::work& tx, const WebhookRow& webhook, Wall now);
std::optional<WebhookRow> find_webhook(pqxx::work& tx, TenantId tenant);

struct Delivery {
  AlertRow alert;
  WebhookRow webhook;
};
std::vector<Delivery> due_deliveries(pqxx::work& tx, int limit, Wall now);
/// `error` empty: delivered.
void record_delivery(pqxx::work& tx, const Uuid& alert, const std::string& error, Wall next_try, Wall now);

}  // namespace tidegate::billing
