#include "scheduler/core/place/types.h"

namespace tidegate::scheduler::placement {

namespace {

constexpr std::int64_t kHour = 3600;

std::int64_t wide_ceil_div(__int128 a, __int128 b) { return static_cast<std::int64_t>((a + b - 1) / b); }

}  // namespace

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kServed: return "served";
    case Outcome::kShort: return "short";
    case Outcome::kRefused: return "refused";
  }
  return "?";
}

std::int64_t Plan::gap_ppm() const {
  const Micros total = cost.total();
  if (total <= lower_bound) return 0;
  if (lower_bound <= 0) return std::numeric_limits<std::int64_t>::max();
  return wide_ceil_div(static_cast<__int128>(total - lower_bound) * 1'000'000, lower_bound);
}

Micros gpu_cost(std::int64_t gpus, Micros price_per_gpu_hour, std::int64_t seconds) {
  return wide_ceil_div(static_cast<__int128>(gpus) * price_per_gpu_hour * seconds, kHour);
}

Micros unserved_cost(std::int64_t units, Micros per_unit_hour, std::int64_t horizon_s) {
  return wide_ceil_div(static_cast<__int128>(units) * per_unit_hour * horizon_s, kHour);
}

std::int64_t startup_s(const Layout& layout, const Pool& pool) {
  return wide_ceil_div(layout.load_bytes, pool.load_bytes_per_s) + layout.warm_up_s;
}

}  // namespace tidegate::scheduler::placement
