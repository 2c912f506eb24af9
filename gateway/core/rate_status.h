#pragma once

#include <cstdint>
#include <optional>

#include "base/core/clock.h"

namespace tidegate::gateway {

/// What one limit has left, as the answer's headers say it.
struct RateGauge {
  std::int64_t limit = 0;
  std::int64_t remaining = 0;  ///< >= 0; over all gateways as last heard
  Duration reset{};            ///< until the window ends, when all of it is there again; for requests at once: zero
};

/// Of every kind of limit that binds a request, the one with least left.
struct RateStatus {
  std::optional<RateGauge> requests;
  std::optional<RateGauge> tokens;
  std::optional<RateGauge> daily_tokens;
  std::optional<RateGauge> concurrency;
};

}  // namespace tidegate::gateway
