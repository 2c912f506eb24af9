#include "billing/jobs/reconcile_job.h"

#include "billing/adapters/reconcile.h"

namespace tidegate::billing {

namespace {

constexpr auto kRunLimit = std::chrono::minutes(5);
constexpr auto kAskLimit = std::chrono::seconds(5);

}  // namespace

ReconcileJob::ReconcileJob(const ServiceContext& context, const std::string& holder, std::chrono::milliseconds interval)
    : context_(context), interval_(interval), lease_(context.pool, context.clock, "billing_reconcile", holder, 3 * interval) {
  thread_ = std::thread([this] { run(); });
}

void ReconcileJob::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  stopping_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ReconcileJob::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, interval_, [this] { return is_stopping_; })) {
    lock.unlock();
    reconcile_once();
    lock.lock();
  }
}

void ReconcileJob::reconcile_once() {
  const Deadline ask = Deadline::after(context_.clock.mono(), kAskLimit);
  if (const auto table = lease_.create_table(ask); !table) return;
  const auto leading = lease_.acquire(ask);
  if (!leading || !*leading) return;
  auto job = [](pqxx::work& tx) -> Result<ReconcileReport> { return reconcile(tx); };
  const auto report = context_.pool.run_blocking(Deadline::after(context_.clock.mono(), kRunLimit), job);
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
