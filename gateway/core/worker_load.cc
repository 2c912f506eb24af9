#include "gateway/core/worker_load.h"

#include <algorithm>

namespace tidegate::gateway {
namespace {

/// Until a worker is known: it decides only how much sooner an idle worker is than a busy one.
constexpr double kRateUnknown = 4'000;
constexpr double kRateLeast = 1;
constexpr double kRateMost = 1e7;
constexpr std::int64_t kMeasuredTokensLeast = 256;
constexpr double kMeasureWeight = 0.2;

}  // namespace

void WorkerLoad::reset() {
  const std::int64_t lifetime = tokens_lifetime_;
  *this = WorkerLoad();
  tokens_lifetime_ = lifetime;
}

void WorkerLoad::report(const Report& report, Mono now) {
  report_ = report;
  reported_at_ = now;
  while (!reserved_.empty() && reserved_.begin()->first <= report.starts_seen) {
    tokens_reserved_ -= reserved_.begin()->second;
    reserved_.erase(reserved_.begin());
  }
}

std::uint64_t WorkerLoad::reserve(std::int64_t tokens) {
  ++starts_;
  reserved_.emplace(starts_, tokens);
  tokens_reserved_ += tokens;
  tokens_lifetime_ += tokens;
  return starts_;
}

void WorkerLoad::release(std::uint64_t start) {
  const auto found = reserved_.find(start);
  if (found == reserved_.end()) return;
  tokens_reserved_ -= found->second;
  reserved_.erase(found);
}

std::int64_t WorkerLoad::tokens_ahead(Mono now, double prefill_rate) const {
  const std::int64_t reported = report_.tokens_queued + report_.tokens_prefilling;
  if (reported == 0) return tokens_reserved_;
  const double elapsed = std::chrono::duration<double>(now - reported_at_).count();
  const double done = std::clamp(elapsed * prefill_rate, 0.0, static_cast<double>(reported));
  return tokens_reserved_ + reported - static_cast<std::int64_t>(done);
}

void PrefillPace::observe(std::int64_t tokens, Duration took) {
  if (tokens < kMeasuredTokensLeast || took <= Duration::zero()) return;
  const double seconds = std::chrono::duration<double>(took).count();
  const double rate = std::clamp(static_cast<double>(tokens) / seconds, kRateLeast, kRateMost);
  measured_ = measured_ == 0 ? rate : measured_ + (rate - measured_) * kMeasureWeight;
}

double PrefillPace::tokens_per_second() const {
  if (told_ > 0) return std::clamp(told_, kRateLeast, kRateMost);
  return measured_ > 0 ? measured_ : kRateUnknown;
}

}  // namespace tidegate::gateway
