#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <unordered_set>

#include "base/core/deadline.h"

namespace tidegate::rpc {

/// A call in flight. cancel() is thread-safe, does not block and may come at any time between add and remove.
class Cancellable {
 public:
  virtual void cancel() = 0;

 protected:
  ~Cancellable() = default;
};

/// The calls in flight on one channel, so that they can all be cancelled and awaited before the executors that their
/// coroutines live on die. Order in a completion: post the result first, remove after. Thread-safe.
class CallRegistry {
 public:
  /// A call added after shut() is cancelled at once.
  void add(Cancellable& call);
  void remove(Cancellable& call);
  /// Cancels every call, now and from now on.
  void shut();
  /// Blocks until no call is left. Never on a gRPC thread.
  void wait_until_empty();
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable empty_;
  std::unordered_set<Cancellable*> calls_;
  bool is_shut_ = false;
};

}  // namespace tidegate::rpc
