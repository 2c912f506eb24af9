#include "billing/jobs/closing_job.h"

#include "billing/adapters/closing.h"

namespace tidegate::billing {

namespace {

constexpr auto kClosingRunLimit = std::chrono::minutes(30);

}  // namespace

ClosingJob::ClosingJob(const ServiceContext& context, const std::string& holder, const Options& options)
    : context_(context),
      options_(options),
      lease_(context, "billing_closing", holder, 3 * options.interval),
      loop_(options.interval, JobLoop::First::kAtStart, [this] { close_once(); }) {}

void ClosingJob::close_once() {
  if (!lease_.is_ours()) return;
  ClosingRequest request;
  request.actor = "job/closing";
  request.is_draft = options_.is_draft;
  request.grace = options_.grace;
  const auto report = close_months(context_.pool, request, context_.ids, context_.clock,
                                   Deadline::after(context_.clock.mono(), kClosingRunLimit));
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
