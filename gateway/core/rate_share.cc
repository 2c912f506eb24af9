#include "gateway/core/rate_share.h"

namespace tidegate::gateway {
namespace {

/// A limit nobody used for so long is forgotten here.
constexpr Duration kForgetShareAfter = std::chrono::minutes(10);

}  // namespace

void RateShare::begin(std::int64_t window) {
  window_ = window;
  granted_ = 0;
  used_ = 0;
  left_ = kUnknown;
  denied_until_ = Mono{};
}

void RateShare::roll(std::int64_t now_ms) {
  const std::int64_t window = now_ms / span_ms_;
  // Never back: the server may have begun a window that this clock, some milliseconds late, has not.
  if (window > window_) begin(window);
}

std::int64_t RateShare::need_of(std::int64_t amount, const RateFleet& fleet) const {
  return std::min(amount, fleet.is_shared ? limit_ : fleet.static_part(limit_));
}

std::int64_t RateShare::room(const RateFleet& fleet, Mono) const {
  if (fleet.is_shared) return free();
  // Redis is away. What it granted stays good; of what it had left when last heard in this window everybody takes its
  // part, and of a window it was never heard in, the static part of the limit.
  const std::int64_t most =
      left_ == kUnknown ? std::max(granted_, fleet.static_part(limit_)) : granted_ + left_ / fleet.gateways;
  return std::min(most, std::max(limit_, granted_)) - used_;
}

std::int64_t RateShare::take(std::int64_t amount, Mono now) {
  used_ += amount;
  pace_.add(amount, now);
  last_taken_ = now;
  return window_;
}

void RateShare::correct(std::int64_t window, std::int64_t from, std::int64_t to) {
  if (window != window_ && to < from) return;
  used_ = std::max<std::int64_t>(used_ + to - from, 0);
}

std::int64_t RateShare::store(const RateFleet& fleet, Mono now) const {
  return rate_slice(limit_, pace_.within(kRateHorizon, now), fleet);
}

bool RateShare::is_low(const RateFleet& fleet, Mono now) const {
  if (is_asking_) return false;
  if (free() < 0) return true;
  return left_ != 0 && now >= denied_until_ && free() < store(fleet, now) / 2;
}

bool RateShare::has_surplus(const RateFleet& fleet, Mono now) const {
  return !is_asking_ && free() > 2 * store(fleet, now);
}

bool RateShare::is_forgettable(Mono now) const {
  return !is_asking_ && free() == 0 && now - last_taken_ > kForgetShareAfter;
}

RateAsk RateShare::ask(std::int64_t need, const RateFleet& fleet, Mono now) {
  RateAsk out;
  out.span_ms = span_ms_;
  out.limit = limit_;
  out.mark = window_;
  out.least = need;
  const std::int64_t in_store = store(fleet, now);
  if (need == 0 && !has_surplus(fleet, now)) {
    // Filling up: what is here stays usable meanwhile.
    parked_ = std::min<std::int64_t>(free(), 0);
    out.want = std::max<std::int64_t>(in_store - std::max<std::int64_t>(free(), 0), 0);
  } else {
    // All that is here goes back in the same step. Too little for this request may be enough for another gateway's, and
    // leftovers of several gateways may be enough for this one.
    parked_ = free();
    out.want = need + in_store;
  }
  out.adjust = -parked_;
  granted_ -= parked_;
  is_asked_alone_ = !fleet.is_shared;
  // room() stays what it was: what is told now was this gateway's part of what Redis had left.
  if (is_asked_alone_ && left_ != kUnknown) left_ = std::max<std::int64_t>(left_ + parked_ * fleet.gateways, 0);
  asked_window_ = window_;
  asked_need_ = need;
  is_asking_ = true;
  return out;
}

void RateShare::on_answer(const RateAnswer& answer, Mono, Mono now) {
  is_asking_ = false;
  if (answer.window < window_) return;  // granted in a window that is over here
  if (answer.window > window_) begin(answer.window);
  granted_ += answer.granted;
  if (is_asked_alone_) return;
  left_ = answer.left;
  if (answer.granted >= asked_need_ || answer.left >= asked_need_) return;
  denied_need_ = now < denied_until_ ? std::min(denied_need_, asked_need_) : asked_need_;
  denied_until_ = now + kRateDeniedMemory;
}

void RateShare::on_failure(bool is_unsent) {
  is_asking_ = false;
  if (window_ != asked_window_) return;
  if (is_unsent || parked_ < 0) granted_ += parked_;
}

RateGauge RateShare::gauge(const RateFleet& fleet, std::int64_t now_ms, Mono now) const {
  std::int64_t remaining = room(fleet, now);
  if (fleet.is_shared && left_ != kUnknown) remaining = std::max<std::int64_t>(remaining, 0) + left_;
  RateGauge out;
  out.limit = limit_;
  out.remaining = std::clamp<std::int64_t>(remaining, 0, limit_);
  const std::int64_t end_ms = (now_ms / span_ms_ + 1) * span_ms_;
  out.reset = std::chrono::milliseconds(end_ms - now_ms);
  return out;
}

}  // namespace tidegate::gateway
