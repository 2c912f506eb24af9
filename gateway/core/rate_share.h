#pragma once

#include <cstdint>

#include "gateway/core/rate_ask.h"
#include "gateway/core/rate_pace.h"
#include "gateway/core/rate_status.h"

namespace tidegate::gateway {

/// This gateway's share of one limit per window (requests or tokens, a minute or a day). Windows are fixed, aligned to
/// the epoch and counted by the server's clock. Pure; RateLimiter asks it and performs what it wants. At most one ask is
/// under way at a time.
///
///   room = granted - used    granted: taken from Redis in this window; used: admitted here, as corrected since
///
/// Over all gateways the sum of granted never exceeds the limit in any window. `used` may pass `granted` in two cases
/// only: while Redis is away (by the static part), and when a request turns out to have used more than the whole limit.
/// Both are told to Redis with the next ask of the same window.
class RateShare {
 public:
  explicit RateShare(std::int64_t span_ms) : span_ms_(span_ms) {}

  /// Counts from the next decision on.
  void set_limit(std::int64_t limit) { limit_ = limit; }
  /// Begins the window that `now_ms` lies in, if it has not begun. What was left of the one before is worth nothing.
  void roll(std::int64_t now_ms);
  /// The server's clock went back: begins anew with the next roll().
  void forget_windows() { window_ = kNoWindow; }

  /// What a request for `amount` has to find. One that alone exceeds all there may be needs all of it.
  std::int64_t need_of(std::int64_t amount, const RateFleet& fleet) const;
  std::int64_t room(const RateFleet& fleet, Mono now) const;
  /// Redis said within kRateDeniedMemory that so much is not there.
  bool is_denied(std::int64_t need, Mono now) const { return now < denied_until_ && need >= denied_need_; }
  bool is_asking() const { return is_asking_; }

  /// Returns the window it was taken in.
  std::int64_t take(std::int64_t amount, Mono now);
  /// What was counted as `from` in `window` turned out to be `to`. A window that is over keeps what it had; more than
  /// was counted falls on the present one.
  void correct(std::int64_t window, std::int64_t from, std::int64_t to);

  /// For a request that needs more than room(), or with need 0 to fill up, to give back, to tell what was used
  /// without being asked for.
  RateAsk ask(std::int64_t need, const RateFleet& fleet, Mono now);
  void on_answer(const RateAnswer& answer, Mono sent, Mono now);
  /// `is_unsent`: certainly nothing happened. Otherwise what was to be given back is lost until the window ends, and
  /// what was to be told is told again: both err on the side of the limit.
  void on_failure(bool is_unsent);

  /// The store runs low: fill it up before a request has to wait.
  bool is_low(const RateFleet& fleet, Mono now) const;
  /// Much more lies here than is needed.
  bool has_surplus(const RateFleet& fleet, Mono now) const;
  /// More was used here than Redis knows of.
  bool must_tell(Mono) const { return !is_asking_ && free() < 0; }
  /// For the regular look at every limit.
  bool wants_care(const RateFleet& fleet, Mono now) const { return is_low(fleet, now) || has_surplus(fleet, now); }
  /// Nothing is known here that Redis does not know.
  bool is_forgettable(Mono now) const;

  RateGauge gauge(const RateFleet& fleet, std::int64_t now_ms, Mono now) const;

 private:
  static constexpr std::int64_t kNoWindow = -1;
  static constexpr std::int64_t kUnknown = -1;
  void begin(std::int64_t window);
  std::int64_t free() const { return granted_ - used_; }
  std::int64_t store(const RateFleet& fleet, Mono now) const;

  const std::int64_t span_ms_;
  std::int64_t limit_ = 0;
  std::int64_t window_ = kNoWindow;
  std::int64_t granted_ = 0;
  std::int64_t used_ = 0;
  std::int64_t left_ = kUnknown;  ///< in Redis, as last heard in this window
  RatePace pace_;
  Mono last_taken_{};

  bool is_asking_ = false;
  bool is_asked_alone_ = false;  ///< only to tell: others may not have told yet, so the answer's left says too much
  std::int64_t asked_window_ = 0;
  std::int64_t asked_need_ = 0;
  std::int64_t parked_ = 0;  ///< on its way back (negative: told)
  std::int64_t denied_need_ = 0;
  Mono denied_until_{};
};

}  // namespace tidegate::gateway
