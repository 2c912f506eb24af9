#pragma once

#include <atomic>
#include <cstdint>

namespace tidegate::worker {

/// Remembers the newest scheduler term this worker has obeyed. A scheduler that lost its lease and does not know it yet
/// speaks with an older term and is refused. Thread-safe.
class TermFence {
 public:
  explicit TermFence(std::uint64_t started_under) : newest_(started_under) {}

  /// False: a command of this term must not be obeyed.
  bool admit(std::uint64_t term) {
    std::uint64_t newest = newest_.load();
    while (term > newest && !newest_.compare_exchange_weak(newest, term)) {
    }
    return term >= newest;
  }
  std::uint64_t newest() const { return newest_.load(); }

 private:
  std::atomic<std::uint64_t> newest_;
};

}  // namespace tidegate::worker
