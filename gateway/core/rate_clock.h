#pragma once

#include <chrono>
#include <cstdint>

#include "base/core/clock.h"

namespace tidegate::gateway {

/// The clock that counts the windows of limits: that of the Redis server, as far as its answers tell; this machine's own
/// until the first of them. Milliseconds since the epoch.
class RateClock {
 public:
  RateClock(Wall wall, Mono now) : base_ms_(unix_micros(wall) / 1000), base_(now) {}

  std::int64_t at(Mono now) const {
    return base_ms_ + std::chrono::floor<std::chrono::milliseconds>(now - base_).count();
  }

  /// The server said `server_ms` between the two instants. True when its clock went back by more than a second (another
  /// server, an operator): what is known of windows is then about a future that has not come.
  bool observe(std::int64_t server_ms, Mono sent, Mono received) {
    const std::int64_t off_ms = server_ms - at(sent + (received - sent) / 2);
    // Smaller differences are the network's: following them would make a window begin twice.
    if (off_ms > kSlackMs || off_ms < -kSlackMs) base_ms_ += off_ms;
    return off_ms < -kBackMs;
  }

 private:
  static constexpr std::int64_t kSlackMs = 20;
  static constexpr std::int64_t kBackMs = 1'000;
  std::int64_t base_ms_;
  Mono base_;
};

}  // namespace tidegate::gateway
