#include "billing/adapters/alert_store.h"

#include "base/pg/types.h"
#include "billing/core/webhook_rules.h"

namespace tidegate::billing {

namespace {

constexpr const char* kDue = R"sql(
  SELECT tenant_id, kind, subject_id, end_user, period, threshold, limit_amount, used_amount FROM (
    SELECT c.tenant_id, 'cap' AS kind, c.id AS subject_id, p.end_user, p.id::text AS period, t.threshold,
           c.amount AS limit_amount, p.spent AS used_amount
      FROM cap_periods p JOIN caps c ON c.id = p.cap_id CROSS JOIN (VALUES (50, 50), (80, 80), (100, 99)) t(threshold, percent)
     WHERE c.removed_at IS NULL AND p.ends_at > $1::timestamptz AND c.amount > 0 AND p.spent * 100 >= c.amount * t.percent
    UNION ALL
    SELECT w.tenant_id, 'wallet', w.id, '00000000-0000-0000-0000-000000000000'::uuid, w.credits::text, t.threshold,
           w.full_mark, w.full_mark - w.balance - w.credit_limit
      FROM wallets w CROSS JOIN (VALUES (50, 50), (80, 80), (100, 99)) t(threshold, percent)
     WHERE w.full_mark > 0 AND (w.full_mark - w.balance - w.credit_limit) * 100 >= w.full_mark * t.percent) d
   WHERE NOT EXISTS (SELECT FROM alerts a WHERE (a.subject_id, a.end_user, a.period, a.threshold)
                                              = (d.subject_id, d.end_user, d.period, d.threshold))
   ORDER BY threshold, subject_id LIMIT $2)sql";
constexpr const char* kInsertAlert = R"sql(
  INSERT INTO alerts (id, tenant_id, kind, subject_id, end_user, period, threshold, limit_amount, used_amount, raised_at, next_try_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8::numeric, $9::numeric, $10, $10)
  ON CONFLICT (subject_id, end_user, period, threshold) DO NOTHING)sql";
constexpr const char* kColumns = R"sql(
  SELECT a.id, a.tenant_id, t.name, t.currency, a.kind, a.subject_id, a.end_user, a.period, a.threshold, a.limit_amount,
         a.used_amount, (extract(epoch FROM a.raised_at) * 1000000)::bigint, a.attempts,
         (extract(epoch FROM a.delivered_at) * 1000000)::bigint, a.last_error)sql";
constexpr const char* kSetWebhook = R"sql(
  INSERT INTO webhooks (tenant_id, url, secret, changed_at) VALUES ($1, $2, $3, $4)
  ON CONFLICT (tenant_id) DO UPDATE SET url = EXCLUDED.url, secret = EXCLUDED.secret, changed_at = EXCLUDED.changed_at)sql";
constexpr const char* kRecord = R"sql(
  UPDATE alerts SET attempts = attempts + 1, last_error = $2, next_try_at = $3,
         delivered_at = CASE WHEN $2 = '' THEN $4::timestamptz END WHERE id = $1 AND delivered_at IS NULL)sql";

AlertRow read_alert(const pqxx::row& row) {
  AlertRow alert;
  alert.id = pg::read_uuid(row[0]);
  alert.tenant = pg::read_id<TenantId>(row[1]);
  alert.tenant_name = pg::read_text(row[2]);
  alert.currency = pg::read_text(row[3]);
  alert.kind = pg::read_text(row[4]);
  alert.subject = pg::read_uuid(row[5]);
  alert.end_user = pg::read_uuid(row[6]);
  alert.period = pg::read_text(row[7]);
  alert.threshold = static_cast<int>(pg::read_int64(row[8]));
  alert.limit = pg::read_money(row[9]);
  alert.used = pg::read_money(row[10]);
  alert.raised = pg::read_wall(row[11]);
  alert.attempts = static_cast<int>(pg::read_int64(row[12]));
  alert.delivered = pg::read_wall_if(row[13]);
  alert.last_error = pg::read_text(row[14]);
  return alert;
}

}  // namespace

std::size_t raise_alerts(pqxx::work& tx, IdSource& ids, int limit, Wall now) {
  const auto due = tx.exec_params(kDue, pg::to_sql(now), limit);
  for (const auto& row : due) {
    tx.exec_params0(kInsertAlert, pg::to_sql(ids.next()), pg::read_text(row[0]), pg::read_text(row[1]),
                    pg::read_text(row[2]), pg::read_text(row[3]), pg::read_text(row[4]), pg::read_int64(row[5]),
                    pg::read_text(row[6]), pg::read_text(row[7]), pg::to_sql(now));
  }
  return due.size();
}

std::vector<AlertRow> list_alerts(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page) {
  static const std::string kList = std::string(kColumns) + R"sql(
      FROM alerts a JOIN tenants t ON t.id = a.tenant_id
     WHERE ($1 = '' OR a.tenant_id = nullif($1, '')::uuid) AND ($2 = '' OR a.id < nullif($2, '')::uuid)
     ORDER BY a.id DESC LIMIT $3)sql";
  std::vector<AlertRow> out;
  const std::string after = page.after ? page.after->to_string() : "";
  for (const auto& row : tx.exec_params(kList, tenant ? tenant->to_string() : "", after, page.limit)) out.push_back(read_alert(row));
  return out;
}

void set_webhook(pqxx::work& tx, const WebhookRow& webhook, Wall now) {
  if (webhook.url.empty()) {
    tx.exec_params0("DELETE FROM webhooks WHERE tenant_id = $1", pg::to_sql(webhook.tenant));
    return;
  }
  tx.exec_params0(kSetWebhook, pg::to_sql(webhook.tenant), webhook.url, webhook.secret, pg::to_sql(now));
}

std::optional<WebhookRow> find_webhook(pqxx::work& tx, TenantId tenant) {
  const auto rows = tx.exec_params("SELECT url, secret FROM webhooks WHERE tenant_id = $1", pg::to_sql(tenant));
  if (rows.empty()) return std::nullopt;
  return WebhookRow{tenant, pg::read_text(rows[0][0]), pg::read_text(rows[0][1])};
}

std::vector<Delivery> due_deliveries(pqxx::work& tx, int limit, Wall now) {
  static const std::string kFind = std::string(kColumns) + R"sql(, h.url, h.secret
      FROM alerts a JOIN tenants t ON t.id = a.tenant_id JOIN webhooks h ON h.tenant_id = a.tenant_id
     WHERE a.delivered_at IS NULL AND a.next_try_at <= $1::timestamptz AND a.attempts < $3
     ORDER BY a.next_try_at, a.id LIMIT $2)sql";
  std::vector<Delivery> out;
  for (const auto& row : tx.exec_params(kFind, pg::to_sql(now), limit, kWebhookAttemptsMax)) {
    AlertRow alert = read_alert(row);
    WebhookRow webhook{alert.tenant, pg::read_text(row[15]), pg::read_text(row[16])};
    out.push_back({std::move(alert), std::move(webhook)});
  }
  return out;
}

void record_delivery(pqxx::work& tx, const Uuid& alert, const std::string& error, Wall next_try, Wall now) {
  tx.exec_params0(kRecord, pg::to_sql(alert), error.substr(0, 256), pg::to_sql(next_try), pg::to_sql(now));
}

}  // namespace tidegate::billing
