#include "billing/jobs/tenant_board_job.h"

#include "base/pg/pool.h"

namespace tidegate::billing {

namespace {
constexpr auto kReadLimit = std::chrono::seconds(5);
}

TenantBoardJob::TenantBoardJob(const ServiceContext& context, MetricRegistry& registry, std::chrono::milliseconds interval)
    : context_(context), registry_(registry), loop_(interval, JobLoop::First::kAtStart, [this] { refresh(); }) {}

void TenantBoardJob::refresh() {
  auto job = [](pqxx::work& tx) { return load_tenant_view(tx, kTenantsMax); };
  const auto view = context_.pool.run_blocking(Deadline::after(context_.clock.mono(), kReadLimit), job);
  // An outage shows elsewhere (readiness, pg metrics); the board keeps its last picture.
  if (view) show(*view);
}

void TenantBoardJob::set(const char* name, const char* help, const Labels& labels, Money amount) {
  Gauge& gauge = registry_.gauge(name, help, labels);
  gauge.set(amount.to_double_approx());  // metric
  shown_[{name, labels}] = &gauge;
}

void TenantBoardJob::show(const TenantView& view) {
  const auto before = std::exchange(shown_, {});
  for (const TenantWallet& wallet : view.wallets) {
    const Labels labels = {{"tenant", wallet.tenant}, {"currency", wallet.currency}};
    set("tidegate_billing_tenant_balance_units", "Paid in minus charged, in units of the currency.", labels, wallet.balance);
    set("tidegate_billing_tenant_available_units", "What may still be leased, in units of the currency.", labels, wallet.available);
  }
  for (const TenantUsage& usage : view.usage) {
    const Labels labels = {{"tenant", usage.tenant}, {"model", usage.model}, {"meter", usage.meter}, {"band", usage.band}};
    Labels spend = labels;
    spend["currency"] = usage.currency;
    set("tidegate_billing_tenant_spend_day_units", "Charged in the last 24 hours, in units of the currency.", spend, usage.amount);
    Gauge& tokens = registry_.gauge("tidegate_billing_tenant_day_tokens", "Tokens billed in the last 24 hours.", labels);
    tokens.set(static_cast<double>(usage.tokens));  // metric
    shown_[{"tidegate_billing_tenant_day_tokens", labels}] = &tokens;
  }
  // Who left the top must not keep its last value.
  for (const auto& [key, gauge] : before) {
    if (!shown_.contains(key)) gauge->set(0);
  }
}

}  // namespace tidegate::billing
