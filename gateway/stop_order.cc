#include "gateway/stop_order.h"

namespace tidegate::gateway {

void StopOrder::give() {
  const std::lock_guard lock(mutex_);
  urgency_ = urgency_ == Urgency::kNone ? Urgency::kStop : Urgency::kAtOnce;
  changed_.notify_all();
}

void StopOrder::give_at_once() {
  const std::lock_guard lock(mutex_);
  urgency_ = Urgency::kAtOnce;
  changed_.notify_all();
}

void StopOrder::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return urgency_ != Urgency::kNone; });
}

bool StopOrder::wait_at_once(Deadline deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline.instant(), [this] { return urgency_ == Urgency::kAtOnce; });
}

}  // namespace tidegate::gateway
