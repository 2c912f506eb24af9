#include "gateway/core/overload_gate.h"

#include <algorithm>
#include <cmath>

namespace tidegate::gateway {
namespace {

Duration span_of(double count) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(count));
}

}  // namespace

void OverloadGate::observe(std::optional<Duration> backlog, Mono now) {
  if (!backlog || *backlog < limits_.wait_target / 2) {
    is_overloaded_ = false;
    standing_since_.reset();
    return;
  }
  if (is_overloaded_) return;
  if (*backlog <= limits_.wait_target) {
    standing_since_.reset();
    return;
  }
  if (!standing_since_) standing_since_ = now;
  is_overloaded_ = now - *standing_since_ >= kStandsAfter;
}

Duration OverloadGate::wait_allowed(bool is_return) const {
  if (!is_overloaded_) return limits_.wait_max;
  return std::min(is_return ? 2 * limits_.wait_target : limits_.wait_target, limits_.wait_max);
}

Duration OverloadGate::refuse(Duration excess, Duration work, Mono now) {
  const double debt = in_seconds(promised(now));
  const double told = std::max(1.0, (in_seconds(excess) + debt / kReturnShare) * (1 + kSpread * next_spread()));
  const Duration after = told < in_seconds(kToldMax) ? span_of(told) : kToldMax;
  debt_at_ = now;
  debt_seconds_ = after <= kPromiseMax ? debt + in_seconds(work) : debt;
  return after;
}

Duration OverloadGate::refuse_blindly() {
  return span_of(in_seconds(kPromiseUnknown) * (1 + next_spread()));
}

Duration OverloadGate::promised(Mono now) const {
  if (debt_seconds_ <= 0) return Duration::zero();
  return span_of(std::max(0.0, debt_seconds_ - kReturnShare * in_seconds(now - debt_at_)));
}

double OverloadGate::next_spread() {
  // The golden ratio's multiples fill the unit interval evenly, however many or few there are: better than chance.
  phase_ += 0.6180339887498949;
  phase_ -= std::floor(phase_);
  return phase_;
}

}  // namespace tidegate::gateway
