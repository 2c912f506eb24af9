#include "bench/load/arrivals.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/core/random.h"

namespace tidegate::bench {

namespace {

Duration from_seconds(double seconds) { return Duration(static_cast<std::int64_t>(seconds * 1e9)); }

/// Seconds until the next arrival, for a rate of one a second.
double gap(Spacing spacing, Rng& rng) {
  switch (spacing) {
    case Spacing::kConstant:
      return 1.0;
    case Spacing::kPoisson:
      return -std::log(1.0 - rng.unit());
  }
  return 1.0;
}

}  // namespace

Result<std::vector<Arrival>> plan_arrivals(const std::vector<Phase>& phases, Spacing spacing, std::uint64_t seed) {
  std::vector<Arrival> out;
  Duration begin{0};
  for (std::size_t p = 0; p < phases.size(); ++p) {
    const Phase& phase = phases[p];
    const double length = std::chrono::duration<double>(phase.length).count();
    for (std::size_t t = 0; t < phase.rates.size(); ++t) {
      const double rate = phase.rates[t];
      if (rate <= 0) continue;
      // A generator of its own: another tenant's rate moves nobody else's arrivals.
      Rng rng(seed + p * 1'000'003 + t * 7'919);
      const double shift = spacing == Spacing::kConstant
                               ? static_cast<double>(t) / static_cast<double>(phase.rates.size()) / rate
                               : gap(spacing, rng) / rate;
      for (double at = shift; at < length; at += gap(spacing, rng) / rate) {
        if (out.size() == kArrivalsMax) {
          return fail(
              Code::kInvalidArgument, "too_many_arrivals",
              fmt::format("the phases hold more than {} requests; shorten them or lower their rates", kArrivalsMax),
              "phases");
        }
        out.push_back({begin + from_seconds(at), static_cast<std::uint32_t>(p), static_cast<std::uint32_t>(t)});
      }
    }
    begin += phase.length;
  }
  std::stable_sort(out.begin(), out.end(), [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
  return out;
}

}  // namespace tidegate::bench
