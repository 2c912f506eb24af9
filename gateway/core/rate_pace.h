#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/core/clock.h"

namespace tidegate::gateway {

/// How fast something was taken during the last second or so: an exponentially decaying sum.
class RatePace {
 public:
  void add(std::int64_t amount, Mono now) {
    level_ = level_at(now) + static_cast<double>(amount);
    last_ = now;
  }
  /// What would be taken in `span` at this pace, rounded up; zero once hardly anything was.
  std::int64_t within(Duration span, Mono now) const {
    const double amount = level_at(now) * seconds(span) / kMemorySeconds;
    return amount < kNothing ? 0 : static_cast<std::int64_t>(std::ceil(amount));
  }

 private:
  static double seconds(Duration span) { return std::chrono::duration<double>(span).count(); }
  double level_at(Mono now) const { return level_ * std::exp(-std::max(seconds(now - last_), 0.0) / kMemorySeconds); }

  static constexpr double kMemorySeconds = 1.0;
  static constexpr double kNothing = 0.1;
  double level_ = 0;
  Mono last_{};
};

}  // namespace tidegate::gateway
