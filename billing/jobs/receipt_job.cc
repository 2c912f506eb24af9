#include "billing/jobs/receipt_job.h"

#include "billing/adapters/audit_store.h"
#include "billing/adapters/receipt_days.h"

namespace tidegate::billing {

namespace {

constexpr auto kSealLimit = std::chrono::minutes(30);
constexpr auto kDay = std::chrono::hours(24);

}  // namespace

ReceiptJob::ReceiptJob(const ServiceContext& context, Options options, Ed25519Key key, const std::string& holder)
    : context_(context),
      options_(std::move(options)),
      key_(std::move(key)),
      lease_(context, "billing_receipts", holder, 3 * options_.interval),
      loop_(options_.interval, JobLoop::First::kAfterInterval, [this] { seal_once(); }) {}

void ReceiptJob::seal_once() {
  if (!lease_.is_ours()) return;
  Status done = cut_yesterday();
  for (bool is_more = done.has_value(); is_more;) {
    const auto sealed = seal_next();
    if (!sealed) done = fail(sealed.error());
    is_more = sealed.value_or(false);
  }
  if (done) done = sign_audit_log();
  if (!done) context_.log.warn("receipts_not_sealed", {kv("error", done.error().to_string())});
}

Status ReceiptJob::sign_audit_log() {
  const Wall now = context_.clock.wall();
  auto job = [this, now](pqxx::work& tx) -> Status {
    sign_audit(tx, options_.deployment, key_, now);
    return {};
  };
  return context_.pool.run_blocking(Deadline::after(context_.clock.mono(), kJobAskLimit), job);
}

Status ReceiptJob::cut_yesterday() {
  const std::string day = utc_day(context_.clock.wall() - kDay);
  auto job = [&day](pqxx::work& tx) -> Status {
    cut_day(tx, day);
    return {};
  };
  return context_.pool.run_blocking(Deadline::after(context_.clock.mono(), kJobAskLimit), job);
}

Result<bool> ReceiptJob::seal_next() {
  struct Outcome {
    std::optional<DayRow> day;
    std::int64_t verified = 0, differences = 0;
    std::string example;
  };
  const Wall now = context_.clock.wall();
  // Two leaders for a moment are harmless: the day's primary key lets one of them win.
  auto job = [this, now](pqxx::work& tx) -> Result<Outcome> {
    const auto cut = next_cut(tx);
    if (!cut) return Outcome();
    ReceiptAudit audit(to_ring(list_receipt_keys(tx)), options_.verify_every);
    Outcome out;
    out.day = seal_day(tx, *cut, options_.deployment, key_, now, audit);
    out.verified = audit.verified();
    out.differences = audit.differences();
    out.example = audit.example();
    return out;
  };
  TG_ASSIGN(const auto sealed, context_.pool.run_blocking(Deadline::after(context_.clock.mono(), kSealLimit), job));
  if (!sealed.day) return false;
  context_.metrics.receipt_days_sealed.add();
  context_.metrics.receipt_differences.set(static_cast<double>(sealed.differences));  // metric
  context_.log.info("receipts_sealed", {kv("day", sealed.day->day), kv("receipts", sealed.day->size),
                                        kv("signatures_verified", sealed.verified)});
  if (sealed.differences > 0) {
    context_.log.error("receipt_differences", {kv("day", sealed.day->day), kv("differences", sealed.differences),
                                               kv("example", sealed.example)});
  }
  return true;
}

}  // namespace tidegate::billing
