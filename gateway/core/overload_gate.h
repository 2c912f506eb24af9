#pragma once

#include <optional>

#include "base/core/clock.h"

namespace tidegate::gateway {

struct OverloadLimits {
  Duration wait_max = std::chrono::seconds(60);    ///< longest wait that is promised at all
  Duration wait_target = std::chrono::seconds(2);  ///< longest wait once a queue stands
};

/// How long a newcomer may be made to wait, and when one that is refused pays to come back. Pure; one thread.
///
/// A burst may use the whole of wait_max: it drains by itself. A backlog of more than wait_target that has stood for
/// kStandsAfter is no burst (CoDel's criterion, RFC 8289, by the backlog's own drain time); from then on a newcomer is
/// taken only if its predicted wait is within wait_target, until the backlog has fallen under half of it. So what
/// stands when an overload ends is wait_target of work and no more: at 70 % load it is gone in 10/3 of that.
///
/// Retry-After. The refused come back, and they must not come back to another refusal. Their work is kept as a debt
/// that is paid at kReturnShare of the drain rate, and each is told the time when the debt before it is paid, spread by
/// up to kSpread so that no two come together: a queue of promises, without a reservation. Those who come back have a
/// share of the room of their own: a second wait_target on top, which nobody else may use. Beyond kPromiseMax nothing
/// is promised: such a caller is told the honest time, told not to wait for it in its call, and is not counted.
class OverloadGate {
 public:
  static constexpr Duration kStandsAfter = std::chrono::seconds(1);
  static constexpr Duration kPromiseMax = std::chrono::seconds(60);
  static constexpr Duration kPromiseUnknown = std::chrono::seconds(5);  ///< while nobody knows the drain rate
  static constexpr Duration kToldMax = std::chrono::hours(1);
  static constexpr double kReturnShare = 0.125;
  static constexpr double kSpread = 0.25;

  explicit OverloadGate(OverloadLimits limits) : limits_(limits) {}

  /// From the next call on.
  void set_limits(OverloadLimits limits) { limits_ = limits; }

  /// `backlog`: time to drain what waits; nullopt = not known, which is no overload.
  void observe(std::optional<Duration> backlog, Mono now);
  bool is_overloaded() const { return is_overloaded_; }

  /// Longest predicted wait with which a request is taken. `is_return`: it was told to come now.
  Duration wait_allowed(bool is_return) const;

  /// Counts a refused request that would have waited `excess` too long and costs `work` of drain time; when to return.
  Duration refuse(Duration excess, Duration work, Mono now);
  /// The same when the drain rate is not known.
  Duration refuse_blindly();

  /// Work of the refused that are told to return and are not due yet, as drain time.
  Duration promised(Mono now) const;

 private:
  double next_spread();

  OverloadLimits limits_;
  bool is_overloaded_ = false;
  std::optional<Mono> standing_since_;
  double debt_seconds_ = 0;  ///< at debt_at_
  Mono debt_at_{};
  double phase_ = 0;
};

}  // namespace tidegate::gateway
