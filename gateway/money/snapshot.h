#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace tidegate::gateway {

/// A value that one thread replaces and all others read as it was at one moment. The lock covers the copy of one
/// pointer, never the making of a value; shared_ptr, because whoever read it keeps it while it is replaced.
/// std::atomic<std::shared_ptr> is refused: in GCC 12 its load reads the pointer without ordering against the next
/// store, which ThreadSanitizer rightly reports.
template <typename T>
class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<const T> first) : current_(std::move(first)) {}
  std::shared_ptr<const T> get() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }
  /// `next` takes the old value along, which is destroyed after the lock was released.
  void set(std::shared_ptr<const T> next) {
    const std::lock_guard lock(mutex_);
    current_.swap(next);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> current_;
};

}  // namespace tidegate::gateway
