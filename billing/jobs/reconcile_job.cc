#include "billing/jobs/reconcile_job.h"

#include "billing/adapters/reconcile.h"

namespace tidegate::billing {

namespace {

constexpr auto kReconcileRunLimit = std::chrono::minutes(5);

}  // namespace

ReconcileJob::ReconcileJob(const ServiceContext& context, const std::string& holder, std::chrono::milliseconds interval)
    : context_(context),
      lease_(context, "billing_reconcile", holder, 3 * interval),
      loop_(interval, JobLoop::First::kAfterInterval, [this] { reconcile_once(); }) {}

void ReconcileJob::reconcile_once() {
  if (!lease_.is_ours()) return;
  auto job = [](pqxx::work& tx) -> Result<ReconcileReport> { return reconcile(tx); };
  const auto report = context_.pool.run_blocking(Deadline::after(context_.clock.mono(), kReconcileRunLimit), job);
  if (!report) {
    context_.log.warn("reconcile_failed", {kv("error", report.error().to_string())});
    return;
  }
  context_.metrics.reconcile_runs.add();
  context_.metrics.reconcile_differences.set(static_cast<double>(report->differences));  // metric
  if (report->differences == 0) {
    context_.log.info("reconciled", {kv("events", report->events), kv("differences", 0)});
    return;
  }
  for (const auto& check : report->checks) {
    if (check.differences == 0) continue;
    context_.log.error("reconcile_differences", {kv("check", check.name), kv("statement", check.statement),
                                                 kv("differences", check.differences), kv("example", check.example)});
  }
}

}  // namespace tidegate::billing
