#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>

namespace tidegate::gateway {

/// Bound on the error of this machine's wall clock, from billing's heartbeats. A heartbeat's delay only ever adds to
/// (ours - billing's), so the least of the last few is the difference of the clocks plus the shortest delay.
/// observe() from one thread; bound() from any.
class ClockError {
 public:
  /// Before anything was heard, and at least, because reading a clock has a grain.
  static constexpr std::chrono::microseconds kLeast{1000};

  void observe(std::int64_t ours_us, std::int64_t billings_us) {
    recent_[next_++ % recent_.size()] = ours_us - billings_us;
    const auto count = std::min(next_, recent_.size());
    const auto least = *std::min_element(recent_.begin(), recent_.begin() + static_cast<std::ptrdiff_t>(count));
    bound_us_.store(std::max(std::abs(least), kLeast.count()), std::memory_order_relaxed);
  }
  std::chrono::microseconds bound() const {
    return std::chrono::microseconds(bound_us_.load(std::memory_order_relaxed));
  }

 private:
  std::array<std::int64_t, 8> recent_{};
  std::size_t next_ = 0;
  std::atomic<std::int64_t> bound_us_ = kLeast.count();
};

}  // namespace tidegate::gateway
