#include "gateway/core/service_rate.h"

#include <algorithm>
#include <cmath>

namespace tidegate::gateway {
namespace {

/// Less than this is chance: one long piece of an answer more or less.
constexpr double kSeenLeastSeconds = 0.25;

}  // namespace

void ServiceRate::pass(bool was_waiting, Mono now) {
  const Duration step = last_ ? std::max(now - *last_, Duration::zero()) : Duration::zero();
  last_ = now;
  if (!was_waiting) {
    idle_ += step;
    if (idle_ < kForgetAfter) return;
    waiting_seconds_ = 0;
    work_ = 0;
    return;
  }
  idle_ = Duration::zero();
  silence_ += step;
  const double kept = std::exp(-in_seconds(step) / in_seconds(kMemory));
  work_ *= kept;
  waiting_seconds_ = waiting_seconds_ * kept + in_seconds(kMemory) * (1 - kept);
}

void ServiceRate::serve(double work, bool is_waiting) {
  silence_ = Duration::zero();
  if (is_waiting) work_ += work;
}

std::optional<double> ServiceRate::per_second() const {
  if (waiting_seconds_ < kSeenLeastSeconds || silence_ >= kSilenceMax || !(work_ > 0)) return std::nullopt;
  return work_ / waiting_seconds_;
}

}  // namespace tidegate::gateway
