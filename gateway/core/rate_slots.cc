#include "gateway/core/rate_slots.h"

namespace tidegate::gateway {
namespace {

/// Given up here before Redis gives it to others: what clocks and the way there may differ by.
constexpr Duration kMargin = std::chrono::milliseconds(1'000);
constexpr Duration kRenewBefore = kRateSlotsLife * 2 / 3;
constexpr Duration kForgetSlotsAfter = std::chrono::minutes(10);

static_assert(kMargin < kRenewBefore && kRenewBefore < kRateSlotsLife);

}  // namespace

std::int64_t RateSlots::room(const RateFleet& fleet, Mono now) const {
  const std::int64_t own = held(now);
  return (fleet.is_shared ? own : std::max(own, fleet.static_part(limit_))) - in_use_;
}

std::int64_t RateSlots::take(std::int64_t amount, Mono now) {
  in_use_ += amount;
  pace_.add(amount, now);
  last_taken_ = now;
  return 0;
}

void RateSlots::release(std::int64_t amount) { in_use_ = std::max<std::int64_t>(in_use_ - amount, 0); }

std::int64_t RateSlots::store(const RateFleet& fleet, Mono now) const {
  return rate_slice(limit_, pace_.within(kRateHorizon, now), fleet);
}

RateAsk RateSlots::ask(std::int64_t need, const RateFleet& fleet, Mono now) {
  RateAsk out;
  out.limit = limit_;
  const std::int64_t own = std::max(held(now), in_use_);
  const std::int64_t wanted = in_use_ + need + store(fleet, now);
  if (need == 0 && !has_surplus(fleet, now)) {
    // Filling up or renewing: what is here stays usable meanwhile.
    out.mark = own;
    out.least = 0;
    out.want = std::max(own, wanted);
  } else {
    out.mark = in_use_;
    out.least = need == 0 ? 0 : in_use_ + need;
    out.want = wanted;
    own_ = std::min(own_, in_use_);
  }
  asked_least_ = out.least;
  is_asking_ = true;
  return out;
}

void RateSlots::on_answer(const RateAnswer& answer, Mono sent, Mono now) {
  is_asking_ = false;
  own_ = answer.granted;
  left_ = answer.left;
  valid_until_ = sent + kRateSlotsLife - kMargin;
  if (answer.granted < asked_least_ && answer.granted + answer.left < asked_least_) {
    denied_until_ = now + kRateDeniedMemory;
  }
}

bool RateSlots::is_low(const RateFleet& fleet, Mono now) const {
  if (is_asking_) return false;
  const std::int64_t spare = held(now) - in_use_;
  if (spare < 0) return true;
  return left_ != 0 && now >= denied_until_ && spare < store(fleet, now) / 2;
}

bool RateSlots::has_surplus(const RateFleet& fleet, Mono now) const {
  // A holding that has lapsed is nobody's already.
  return !is_asking_ && held(now) - in_use_ > store(fleet, now);
}

bool RateSlots::must_tell(Mono now) const {
  if (is_asking_) return false;
  return held(now) < in_use_ || (own_ > 0 && valid_until_ - now < kRenewBefore);
}

bool RateSlots::wants_care(const RateFleet& fleet, Mono now) const {
  return must_tell(now) || is_low(fleet, now) || has_surplus(fleet, now);
}

bool RateSlots::is_forgettable(Mono now) const {
  return !is_asking_ && in_use_ == 0 && held(now) == 0 && now - last_taken_ > kForgetSlotsAfter;
}

RateGauge RateSlots::gauge(const RateFleet& fleet, std::int64_t, Mono now) const {
  std::int64_t remaining = room(fleet, now);
  if (fleet.is_shared) remaining = std::max<std::int64_t>(remaining, 0) + left_;
  RateGauge out;
  out.limit = limit_;
  out.remaining = std::clamp<std::int64_t>(remaining, 0, limit_);
  return out;
}

}  // namespace tidegate::gateway
