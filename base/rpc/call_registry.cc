#include "base/rpc/call_registry.h"

namespace tidegate::rpc {

void CallRegistry::add(Cancellable& call) {
  const std::lock_guard lock(mutex_);
  calls_.insert(&call);
  if (is_shut_) call.cancel();
}

void CallRegistry::remove(Cancellable& call) {
  const std::lock_guard lock(mutex_);
  calls_.erase(&call);
  // Under the lock: the waiter destroys this object as soon as it sees the set empty.
  if (calls_.empty()) empty_.notify_all();
}

void CallRegistry::shut() {
  const std::lock_guard lock(mutex_);
  is_shut_ = true;
  for (Cancellable* call : calls_) call->cancel();
}

void CallRegistry::wait_until_empty() {
  std::unique_lock lock(mutex_);
  empty_.wait(lock, [this] { return calls_.empty(); });
}

std::size_t CallRegistry::size() const {
  const std::lock_guard lock(mutex_);
  return calls_.size();
}

}  // namespace tidegate::rpc
