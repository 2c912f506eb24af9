#include "billing/jobs/closing_job.h"

#include "billing/adapters/closing.h"

namespace tidegate::billing {

namespace {

constexpr auto kRunLimit = std::chrono::minutes(30);
constexpr auto kAskLimit = std::chrono::seconds(5);

}  // namespace

ClosingJob::ClosingJob(const ServiceContext& context, const std::string& holder, const Options& options)
    : context_(context),
      options_(options),
      lease_(context.pool, context.clock, "billing_closing", holder, 3 * options.interval) {
  thread_ = std::thread([this] { run(); });
}

void ClosingJob::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  stopping_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ClosingJob::run() {
  std::unique_lock lock(mutex_);
  do {
    lock.unlock();
    close_once();
    lock.lock();
  } while (!stopping_.wait_for(lock, options_.interval, [this] { return is_stopping_; }));
}

void ClosingJob::close_once() {
  const Deadline ask = Deadline::after(context_.clock.mono(), kAskLimit);
  if (const auto table = lease_.create_table(ask); !table) return;
  const auto leading = lease_.acquire(ask);
  if (!leading || !*leading) return;
  ClosingRequest request;
  request.actor = "job/closing";
  request.is_draft = options_.is_draft;
  request.grace = options_.grace;
  const auto report = close_months(context_.pool, request, context_.ids, context_.clock,
                                   Deadline::after(context_.clock.mono(), kRunLimit));
  if (!report) {
    context_.metrics.closing_failures.add();
    context_.log.error("closing_failed", {kv("error", report.error().to_string())});
    return;
  }
  for (const auto& [tenant, month] : report->closed) {
    if (month.invoice) context_.metrics.invoices_closed.add();
    context_.log.info("month_closed", {kv("tenant", tenant), kv("month", month.month),
                                       kv("number", month.invoice ? month.invoice->number : std::string())});
  }
}

}  // namespace tidegate::billing
