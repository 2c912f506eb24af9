#pragma once

#include <atomic>
#include <memory>

namespace tidegate::gateway {

/// A value that one thread replaces and all others read as it was at one moment. Readers never wait for the writer's
/// work; shared_ptr, because whoever read it keeps it while it is replaced.
template <typename T>
class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<const T> first) : current_(std::move(first)) {}
  std::shared_ptr<const T> get() const { return current_.load(); }
  void set(std::shared_ptr<const T> next) { current_.store(std::move(next)); }

 private:
  std::atomic<std::shared_ptr<const T>> current_;
};

}  // namespace tidegate::gateway
