#pragma once

#include <memory>

#include "base/core/deadline.h"
#include "base/net/asio.h"

namespace tidegate {

/// Wakes one waiting coroutine. Any thread may notify; notifications before the wait are kept, several become one
/// (auto-reset). At most one coroutine waits at a time, on the signal's executor.
class AsyncSignal {
 public:
  explicit AsyncSignal(Executor executor);
  ~AsyncSignal();
  AsyncSignal(const AsyncSignal&) = delete;
  AsyncSignal& operator=(const AsyncSignal&) = delete;

  /// Any thread. Cheap when already notified.
  void notify();
  /// Returns once notified, and consumes the notification.
  awaitable<void> wait();
  /// False when the deadline passed without a notification.
  awaitable<bool> wait_until(Deadline deadline);
  Executor executor() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with notifications still queued on the executor
};

/// One-shot: once set it stays set. Any thread sets; any number of coroutines wait, on the event's executor.
class Event {
 public:
  explicit Event(Executor executor);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void set();
  bool is_set() const;
  awaitable<void> wait();
  /// False when the deadline passed first.
  awaitable<bool> wait_until(Deadline deadline);

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with a set() still queued on the executor
};

}  // namespace tidegate
