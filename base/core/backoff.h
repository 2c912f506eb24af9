#pragma once

#include <algorithm>

#include "base/core/clock.h"
#include "base/core/random.h"

namespace tidegate {

/// Exponential back-off with full jitter: the n-th delay is uniform in [least, min(most, least * 2^n)].
class Backoff {
 public:
  Backoff(Duration least, Duration most, std::uint64_t seed) : least_(least), most_(most), ceiling_(least), rng_(seed) {}

  Duration next() {
    const auto spread = static_cast<std::uint64_t>((ceiling_ - least_).count()) + 1;
    const Duration delay = least_ + Duration(static_cast<std::int64_t>(rng_.below(spread)));
    ceiling_ = std::min(most_, ceiling_ * 2);
    return delay;
  }
  /// After a success.
  void reset() { ceiling_ = least_; }

 private:
  Duration least_;
  Duration most_;
  Duration ceiling_;
  Rng rng_;
};

}  // namespace tidegate
