#pragma once

#include <cstdint>

#include "gateway/core/rate_ask.h"
#include "gateway/core/rate_pace.h"
#include "gateway/core/rate_status.h"

namespace tidegate::gateway {

/// A gateway's slots live so long in Redis without being renewed: what a dead gateway held is free again after that.
inline constexpr std::chrono::milliseconds kRateSlotsLife{10'000};

/// This gateway's slots of one limit on requests at once. A slot is in use until its request ends, however long that
/// takes; the holding is a lease that Redis drops unless it is renewed. Pure; the same shape as RateShare.
///
///   room = own - in use
class RateSlots {
 public:
  void set_limit(std::int64_t limit) { limit_ = limit; }
  void roll(std::int64_t) {}
  void forget_windows() {}

  std::int64_t need_of(std::int64_t amount, const RateFleet&) const { return amount; }
  std::int64_t room(const RateFleet& fleet, Mono now) const;
  bool is_denied(std::int64_t, Mono now) const { return now < denied_until_; }
  bool is_asking() const { return is_asking_; }

  /// Returns 0: slots belong to no window.
  std::int64_t take(std::int64_t amount, Mono now);
  void release(std::int64_t amount);
  std::int64_t in_use() const { return in_use_; }

  /// For a request that finds no room, or with need 0 to fill up, to give back, to renew.
  RateAsk ask(std::int64_t need, const RateFleet& fleet, Mono now);
  void on_answer(const RateAnswer& answer, Mono sent, Mono now);
  void on_failure(bool) { is_asking_ = false; }

  bool is_low(const RateFleet& fleet, Mono now) const;
  bool has_surplus(const RateFleet& fleet, Mono now) const;
  /// In use or held, and Redis does not know of it or is about to forget it.
  bool must_tell(Mono now) const;
  bool wants_care(const RateFleet& fleet, Mono now) const;
  bool is_forgettable(Mono now) const;

  RateGauge gauge(const RateFleet& fleet, std::int64_t now_ms, Mono now) const;

 private:
  std::int64_t held(Mono now) const { return now < valid_until_ ? own_ : 0; }
  std::int64_t store(const RateFleet& fleet, Mono now) const;

  std::int64_t limit_ = 0;
  std::int64_t in_use_ = 0;
  std::int64_t own_ = 0;  ///< that may be used: in Redis under this gateway's name, less what is being given back
  Mono valid_until_{};
  std::int64_t left_ = 0;
  RatePace pace_;
  Mono last_taken_{};

  bool is_asking_ = false;
  std::int64_t asked_least_ = 0;
  Mono denied_until_{};
};

}  // namespace tidegate::gateway
