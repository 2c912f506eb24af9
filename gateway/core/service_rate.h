#pragma once

#include <optional>

#include "base/core/clock.h"

namespace tidegate::gateway {

/// How fast work leaves while something waits: only then does the rate say what the workers can, not what clients ask.
/// An exponential window with a memory of kMemory, so that a lost or a new worker shows within seconds. Frozen while
/// nothing waits, forgotten after kForgetAfter of that: the pool may be another one by then.
///
/// Unit of work is the caller's. One thread.
class ServiceRate {
 public:
  static constexpr Duration kMemory = std::chrono::seconds(3);
  static constexpr Duration kForgetAfter = std::chrono::seconds(30);
  /// Waiting without anything leaving for this long is an outage, not a slow pool: nobody knows when it ends.
  static constexpr Duration kSilenceMax = std::chrono::seconds(5);

  /// Time goes on until `now`; `was_waiting`: something waited since the last call.
  void pass(bool was_waiting, Mono now);
  /// Work that was done; call pass() first.
  void serve(double work, bool is_waiting);

  /// Work a second; nullopt when not known: too little was seen, or nothing leaves at all.
  std::optional<double> per_second() const;

 private:
  std::optional<Mono> last_;
  double waiting_seconds_ = 0;  ///< inside the window
  double work_ = 0;             ///< inside the window
  Duration idle_{};
  Duration silence_{};
};

}  // namespace tidegate::gateway
