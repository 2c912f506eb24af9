#include "scheduler/control/leadership_loop.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <future>
#include <utility>

namespace tidegate::scheduler {

namespace {
constexpr auto kRetry = std::chrono::milliseconds(250);
constexpr auto kReleaseLimit = std::chrono::seconds(2);
}

LeadershipLoop::LeadershipLoop(Lease& lease, DeploymentStore& store, const Clock& clock, Log& log, Executor executor,
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
    Duration pause = round();
    const Duration left = std::max(valid_until_ - clock_.mono(), Duration::zero());
    if (leading_ != 0) pause = std::min(pause, left);
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, pause, [this] { return is_stopping_; })) break;
  }
  if (leading_ == 0) return;
  end("stopping");
  release();
}

/// How long until the next one.
Duration LeadershipLoop::round() {
  // A database that hangs must not carry us past the end of what we hold.
  Deadline limit = Deadline::after(clock_.mono(), settings_.ttl / 3);
  if (leading_ != 0) limit = limit.earlier(Deadline::at(valid_until_));
  const auto held = lease_.acquire(limit);
  if (held && *held) {
    // Given back, it is left alone for as long as if it were ours: who asks every kRetry finds it free.
    begin(**held);
    return settings_.ttl / 3;
  }
  if (held) {
    end("another scheduler leads");
    lease_.lapse();
  } else if (clock_.mono() >= valid_until_) {
    end("the database does not answer");
    lease_.lapse();
  }
  return kRetry;
}

void LeadershipLoop::begin(const Lease::Held& held) {
  if (leading_ == held.term) {
    hold_until(held.valid_until);
    return;
  }
  // The lease ran out unseen and came back as a new one: what was ordered under the old term ends first.
  end("a new term began");
  auto desired = store_.load(Deadline::at(held.valid_until));
  if (!desired) {
    give_up(held.term, desired.error());
    return;
  }
  // The database may have kept us waiting for longer than what it gave lasts.
  if (clock_.mono() >= held.valid_until) {
    give_up(held.term, Error(Code::kDeadlineExceeded, "lease_over", "the lease was over before the deployments were read"));
    return;
  }
  hold_until(held.valid_until);
  leading_ = held.term;
  log_.info("leading", {kv("term", leading_), kv("deployments", desired->size())});
  asio::post(executor_, [this, term = leading_, all = *std::move(desired)]() mutable { handlers_.on_begin(term, std::move(all)); });
}

/// Nothing was ordered under the term, and nobody else could lead while we kept it.
void LeadershipLoop::give_up(Term term, const Error& why) {
  log_.error("leadership_given_up", {kv("term", term), kv("reason", why.reason), kv("message", why.message)});
  hold_until(clock_.mono());
  lease_.lapse();
  release();
}

void LeadershipLoop::release() {
  const Status released = lease_.release(Deadline::after(clock_.mono(), kReleaseLimit));
  if (!released) log_.warn("lease_not_released", {kv("message", released.error().message)});
}

void LeadershipLoop::hold_until(Mono valid_until) {
  valid_until_ = valid_until;
  good_until_.store(valid_until.time_since_epoch().count());
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
