#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"

namespace tidegate::bench {

/// A stretch of a run with constant rates. A ramp is a few of them.
struct Phase {
  std::string name;
  Duration length{0};
  std::vector<double> rates;  ///< requests a second, one a tenant
};

enum class Spacing : std::uint8_t { kConstant, kPoisson };

/// When a request is meant to start, from the beginning of the run. Latency counts from here, whatever delayed it.
struct Arrival {
  Duration at{0};
  std::uint32_t phase = 0;
  std::uint32_t tenant = 0;
};

/// Enough for an hour at a thousand a second; 16 bytes each.
inline constexpr std::size_t kArrivalsMax = 4'000'000;

/// Every arrival of a run, in order of time, decided before it begins: an overloaded server slows nothing of it down.
/// Each tenant's arrivals are independent of the others'; constant ones of several tenants are shifted against each
/// other. The same seed gives the same plan. Fails: invalid_argument/too_many_arrivals.
Result<std::vector<Arrival>> plan_arrivals(const std::vector<Phase>& phases, Spacing spacing, std::uint64_t seed);

}  // namespace tidegate::bench
