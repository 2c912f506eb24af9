#include "billing/jobs/budget_job.h"

#include <fmt/format.h>

#include "billing/adapters/audit_store.h"
#include "billing/adapters/grant_store.h"
#include "billing/core/webhook_rules.h"

namespace tidegate::billing {

namespace {

constexpr auto kLimit = std::chrono::seconds(30);
constexpr int kGrantsATurn = 100, kAlertsATurn = 1000, kDeliveriesATurn = 20;

/// The fields have no characters that JSON escapes: ids, decimals, names of checked shape.
std::string body_of(const AlertRow& alert) {
  return fmt::format(
      R"({{"id":"{}","type":"budget.threshold","tenant":"{}","kind":"{}","subject_id":"{}","end_user":"{}","threshold":{},)"
      R"("limit":"{}","used":"{}","currency":"{}","raised_at":"{}"}})",
      alert.id.to_string(), alert.tenant_name, alert.kind, alert.subject.to_string(),
      alert.end_user.is_nil() ? "" : alert.end_user.to_string(), alert.threshold, alert.limit.to_string(),
      alert.used.to_string(), alert.currency, format_rfc3339(alert.raised));
}

}  // namespace

BudgetJob::BudgetJob(const ServiceContext& context, const std::string& holder, std::chrono::milliseconds interval,
                     WebhookPolicy policy)
    : context_(context),
      policy_(policy),
      lease_(context, "billing_budgets", holder, std::max<Duration>(3 * interval, std::chrono::seconds(60))),
      loop_(interval, JobLoop::First::kAfterInterval, [this] { turn(); }) {}

void BudgetJob::turn() {
  if (!lease_.is_ours()) return;
  const Deadline ask = Deadline::after(context_.clock.mono(), kLimit);
  const Wall now = context_.clock.wall();
  const auto lapsed = context_.pool.run_blocking(ask, [&](pqxx::work& tx) -> Result<std::size_t> {
    attribute(tx, "job/budgets", "");
    return lapse_grants(tx, context_.ids, kGrantsATurn, now);
  });
  const auto raised = context_.pool.run_blocking(ask, [&](pqxx::work& tx) -> Result<std::size_t> {
    return raise_alerts(tx, context_.ids, kAlertsATurn, now);
  });
  if (!lapsed || !raised) {
    context_.log.warn("budget_job_failed", {kv("error", (lapsed ? raised.error() : lapsed.error()).to_string())});
    return;
  }
  if (*lapsed > 0) context_.log.info("grants_lapsed", {kv("count", *lapsed)});
  if (*raised > 0) context_.log.info("alerts_raised", {kv("count", *raised)});
  deliver();
}

void BudgetJob::deliver() {
  const auto due = context_.pool.run_blocking(
      Deadline::after(context_.clock.mono(), kLimit),
      [&](pqxx::work& tx) -> Result<std::vector<Delivery>> { return due_deliveries(tx, kDeliveriesATurn, context_.clock.wall()); });
  if (!due) return;
  for (const Delivery& one : *due) {
    if (loop_.is_stopping()) return;
    const Wall now = context_.clock.wall();
    WebhookCall call;
    call.url = one.webhook.url;
    call.body = body_of(one.alert);
    call.headers = {"Tidegate-Event-Id: " + one.alert.id.to_string(),
                    "Tidegate-Signature: " + webhook_signature(one.webhook.secret, unix_micros(now) / 1'000'000, call.body)};
    const Status sent = send_webhook(call, policy_);
    const std::string error = sent ? "" : sent.error().reason + ": " + sent.error().message;
    const Wall next = now + webhook_pause(one.alert.attempts + 1);
    const auto recorded = context_.pool.run_blocking(Deadline::after(context_.clock.mono(), kLimit), [&](pqxx::work& tx) -> Status {
      record_delivery(tx, one.alert.id, error, next, context_.clock.wall());
      return {};
    });
    if (!sent || !recorded) {
      context_.log.warn("webhook_failed", {kv("alert_id", one.alert.id.to_string()), kv("attempt", one.alert.attempts + 1),
                                           kv("error", sent ? recorded.error().to_string() : error)});
    }
  }
}

}  // namespace tidegate::billing
