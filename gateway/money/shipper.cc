#include "gateway/money/shipper.h"

#include "base/net/timer.h"

namespace tidegate::gateway {
namespace {

constexpr Duration kShipRetryLeast = std::chrono::milliseconds(50);
constexpr Duration kShipRetryMost = std::chrono::seconds(2);
/// Waiting this long makes one transaction of what finishes together; the caller has its answer already.
constexpr Duration kLinger = std::chrono::milliseconds(20);
/// The age gauge moves while nothing else does.
constexpr Duration kIdle = std::chrono::seconds(1);

}  // namespace

Shipper::Shipper(Journal& journal, EpochShipper epoch, ShipperMetrics& metrics, const Clock& clock, Log& log,
                 Executor executor)
    : journal_(journal),
      epoch_(std::move(epoch)),
      metrics_(metrics),
      clock_(clock),
      log_(log),
      backoff_(kShipRetryLeast, kShipRetryMost, journal.epoch()),
      wake_(executor),
      progress_(executor) {
  journal_.on_change([this] { wake_.notify(); });
}

awaitable<void> Shipper::run() {
  while (!is_stopping_) {
    const Journal::Durable durable = journal_.durable();
    measure();
    if (epoch_.applied_through() >= durable.last_sequence) {
      const Deadline idle = Deadline::after(clock_.mono(), kIdle);
      const bool is_awake = co_await wake_.wait_until(idle);
      if (is_awake && !is_stopping_) co_await sleep_for(kLinger);
      continue;
    }
    const Status shipped = co_await epoch_.ship_next(durable.first_segment, durable.end);
    if (shipped) {
      if (is_failing_) log_.info("usage_shipping_again", {kv("applied_through", epoch_.applied_through())});
      is_failing_ = false;
      backoff_.reset();
      journal_.acknowledge(epoch_.applied_through());
      progress_.notify();
      continue;
    }
    note_failure(shipped.error());
    const Deadline pause = Deadline::after(clock_.mono(), backoff_.next());
    while (!is_stopping_ && !pause.is_expired(clock_.mono())) co_await wake_.wait_until(pause);
  }
}

void Shipper::stop() {
  is_stopping_ = true;
  wake_.notify();
}

awaitable<bool> Shipper::flush(Deadline deadline) {
  const std::uint64_t goal = journal_.durable().last_sequence;
  while (epoch_.applied_through() < goal) {
    if (deadline.is_expired(clock_.mono())) co_return false;
    co_await progress_.wait_until(deadline);
  }
  co_return true;
}

void Shipper::note_failure(const Error& error) {
  if (is_transient(error)) {
    metrics_.failures.add();
    if (!is_failing_) log_.warn("usage_not_shipped", {kv("error", error.to_string())});
  } else {
    metrics_.refused.add();
    log_.error("usage_refused", {kv("after_sequence", epoch_.applied_through()), kv("error", error.to_string())});
  }
  is_failing_ = true;
}

void Shipper::measure() {
  const std::uint64_t last = journal_.durable().last_sequence;
  const std::uint64_t applied = epoch_.applied_through();
  metrics_.backlog.set(last > applied ? static_cast<double>(last - applied) : 0);
  const std::int64_t oldest = epoch_.oldest_waiting_us();
  const std::int64_t age_us = oldest == 0 ? 0 : unix_micros(clock_.wall()) - oldest;
  metrics_.oldest_age_seconds.set(static_cast<double>(age_us) * 1e-6);
}

}  // namespace tidegate::gateway
