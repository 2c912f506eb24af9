#pragma once

#include <algorithm>

#include "base/core/clock.h"

namespace tidegate {

/// A point in time by which work must be done, passed down by value. An exhausted budget means "expire now",
/// never "no deadline".
class Deadline {
 public:
  static Deadline after(Mono now, Duration budget) {
    const Duration room = Mono::max() - now;
    return Deadline(budget >= room ? Mono::max() : now + std::max(budget, Duration::zero()));
  }
  static Deadline at(Mono instant) { return Deadline(instant); }
  static Deadline never() { return Deadline(Mono::max()); }

  bool is_expired(Mono now) const { return now >= at_; }
  bool is_never() const { return at_ == Mono::max(); }
  /// Zero when expired.
  Duration remaining(Mono now) const { return is_expired(now) ? Duration::zero() : at_ - now; }
  Mono instant() const { return at_; }
  Deadline earlier(Deadline other) const { return Deadline(std::min(at_, other.at_)); }

 private:
  explicit Deadline(Mono at) : at_(at) {}
  Mono at_;
};

}  // namespace tidegate
