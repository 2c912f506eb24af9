#include "worker/rpc/scheduler_link.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <utility>

#include "base/net/timer.h"

namespace tidegate::worker {

using namespace asio::experimental::awaitable_operators;

SchedulerLink::SchedulerLink(std::shared_ptr<rpc::Channel> channel, Executor executor, const Clock& clock, Log& log,
                             const WorkerMetrics& metrics, const WorkerStatus& status, TermFence& fence,
                             std::function<void()> on_drain, Options options)
    : client_(std::move(channel)),
      executor_(std::move(executor)),
      clock_(clock),
      log_(log),
      metrics_(metrics),
      status_(status),
      fence_(fence),
      on_drain_(std::move(on_drain)),
      options_(options),
      backoff_(options.reconnect_least, options.reconnect_most, options.seed),
      changed_(executor_),
      stopping_(executor_) {}

SchedulerLink::~SchedulerLink() { stop(); }

void SchedulerLink::start() {
  is_started_ = true;
  asio::co_spawn(executor_, run(), [this](std::exception_ptr) { ended_.set_value(); });
}

void SchedulerLink::stop() {
  if (!std::exchange(is_started_, false)) return;
  stopping_.set();
  ended_.get_future().wait();
}

awaitable<void> SchedulerLink::run() {
  while (!stopping_.is_set()) {
    auto serving = serve_one();
    auto stopped = stopping_.wait();
    auto outcome = co_await (std::move(serving) || std::move(stopped));
    const bool was_welcome = std::exchange(is_welcome_, false);
    // Others count there as well: one link of several may be the leader's.
    if (was_welcome) metrics_.scheduler_connected.add(-1);
    if (outcome.index() == 1) co_return;
    const Error& why = std::get<0>(outcome);
    if (was_welcome) {
      log_.warn("scheduler_lost", {kv("reason", why.reason), kv("message", why.message)});
    }
    const Deadline retry = Deadline::after(clock_.mono(), backoff_.next());
    if (co_await stopping_.wait_until(retry)) co_return;
  }
}

awaitable<Error> SchedulerLink::serve_one() {
  // Only the newest report counts, so a slow scheduler never finds more than one waiting.
  rpc::StreamOptions<v1::WorkerReport> options;
  options.queue_max = 1;
  options.merge = [](v1::WorkerReport& last, v1::WorkerReport& next) {
    last = std::move(next);
    return true;
  };
  Stream stream = client_.open_bidi(&v1::Fleet::Stub::async::WorkerLink, Deadline::never(), std::move(options));
  auto reading = read_commands(stream);
  auto sending = send_reports(stream);
  auto outcome = co_await (std::move(reading) || std::move(sending));
  co_return outcome.index() == 0 ? std::get<0>(std::move(outcome)) : std::get<1>(std::move(outcome));
}

awaitable<Error> SchedulerLink::read_commands(Stream& stream) {
  while (true) {
    auto item = co_await stream.read();
    if (!item) co_return item.error();
    if (!*item) co_return Error(Code::kUnavailable, "scheduler_ended_link", "the scheduler ended the link");
    if (!obey(**item)) co_return Error(Code::kFailedPrecondition, "stale_term", "the scheduler's term is an older one");
  }
}

awaitable<Error> SchedulerLink::send_reports(Stream& stream) {
  while (true) {
    // A refused write means that the stream broke; the reading side knows why and ends us both.
    const Status written = stream.write(status_.report());
    static_cast<void>(written);
    const Deadline next = Deadline::after(clock_.mono(), options_.heartbeat);
    co_await changed_.wait_until(next);
  }
}

bool SchedulerLink::obey(const v1::WorkerCommand& command) {
  if (!fence_.admit(command.term())) {
    metrics_.commands_refused.add();
    log_.warn("stale_command_refused", {kv("term", command.term()), kv("newest_term", fence_.newest())});
    return false;
  }
  metrics_.term.set(static_cast<double>(fence_.newest()));
  switch (command.command_case()) {
    case v1::WorkerCommand::kWelcome:
      if (!std::exchange(is_welcome_, true)) metrics_.scheduler_connected.add(1);
      backoff_.reset();
      log_.info("scheduler_joined", {kv("term", command.term())});
      break;
    case v1::WorkerCommand::kDrain:
      log_.info("drain_ordered", {kv("term", command.term())});
      on_drain_();
      break;
    case v1::WorkerCommand::COMMAND_NOT_SET: break;
  }
  return true;
}

}  // namespace tidegate::worker
