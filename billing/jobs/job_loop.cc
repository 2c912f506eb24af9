#include "billing/jobs/job_loop.h"

#include <utility>

namespace tidegate::billing {

JobLoop::JobLoop(std::chrono::milliseconds interval, First first, std::function<void()> turn)
    : interval_(interval), turn_(std::move(turn)) {
  thread_ = std::thread([this, first] { run(first); });
}

void JobLoop::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  stopping_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool JobLoop::is_stopping() {
  const std::lock_guard lock(mutex_);
  return is_stopping_;
}

void JobLoop::run(First first) {
  if (first == First::kAtStart) turn_();
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, interval_, [this] { return is_stopping_; })) {
    lock.unlock();
    turn_();
    lock.lock();
  }
}

bool JobLease::is_ours() {
  const Deadline ask = Deadline::after(context_.clock.mono(), kJobAskLimit);
  if (!lease_.create_table(ask)) return false;
  const auto leading = lease_.acquire(ask);
  return leading && leading->has_value();
}

}  // namespace tidegate::billing
