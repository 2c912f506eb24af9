#include "scheduler/control/leadership_loop.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <future>
#include <utility>

namespace tidegate::scheduler {

namespace {
constexpr auto kRetry = std::chrono::milliseconds(250);
}

LeadershipLoop::LeadershipLoop(pg::LeaderLease& lease, DeploymentStore& store, const Clock& clock, Log& log, Executor executor,
                               Settings settings, Handlers handlers)
    : lease_(lease), store_(store), clock_(clock), log_(log), executor_(std::move(executor)), settings_(settings),
      handlers_(std::move(handlers)) {}

void LeadershipLoop::start() {
  thread_ = std::thread([this] { run(); });
}

void LeadershipLoop::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_stopping_, true)) return;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void LeadershipLoop::run() {
  for (;;) {
    const bool is_held = round();
    const Duration left = std::max(valid_until_ - clock_.mono(), Duration::zero());
    Duration pause = is_held ? settings_.ttl / 3 : Duration(kRetry);
    if (leading_ != 0) pause = std::min(pause, left);
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, pause, [this] { return is_stopping_; })) break;
  }
  if (leading_ == 0) return;
  end("stopping");
  if (const Status released = lease_.release(Deadline::after(clock_.mono(), std::chrono::seconds(2))); !released) {
    log_.warn("lease_not_released", {kv("message", released.error().message)});
  }
}

/// True: the lease is ours.
bool LeadershipLoop::round() {
  // A database that hangs must not carry us past the end of what we hold.
  Deadline limit = Deadline::after(clock_.mono(), settings_.ttl / 3);
  if (leading_ != 0) limit = limit.earlier(Deadline::at(valid_until_));
  const auto held = lease_.acquire(limit);
  if (held && *held) {
    begin(**held);
    return true;
  }
  if (held) {
    end("another scheduler leads");
    lease_.lapse();
  } else if (clock_.mono() >= valid_until_) {
    end("the database does not answer");
    lease_.lapse();
  }
  return false;
}

void LeadershipLoop::begin(const pg::Leadership& leadership) {
  valid_until_ = leadership.valid_until;
  if (leading_ == leadership.term) return;
  auto desired = store_.load();
  if (!desired) {
    log_.warn("deployments_unreadable", {kv("message", desired.error().message)});
    return;
  }
  // The database may have kept us waiting for longer than what it gave lasts.
  if (clock_.mono() >= valid_until_) return;
  leading_ = leadership.term;
  log_.info("leading", {kv("term", leading_), kv("deployments", desired->size())});
  asio::post(executor_, [this, term = leading_, all = *std::move(desired)]() mutable { handlers_.on_begin(term, std::move(all)); });
}

void LeadershipLoop::end(const char* why) {
  if (std::exchange(leading_, 0) == 0) return;
  log_.warn("not_leading", {kv("why", why)});
  // Waits: the lease may be given away only when nothing acts on it any more.
  std::promise<void> ended;
  asio::post(executor_, [this, &ended] {
    handlers_.on_end();
    ended.set_value();
  });
  ended.get_future().wait();
}

}  // namespace tidegate::scheduler
