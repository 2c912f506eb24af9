#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace tidegate {

/// Two clocks, two types: they cannot be mixed by accident.
/// Mono only measures (timeouts, pacing); Wall only labels (UTC instants in records, prices, logs).
using Mono = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;
using Wall = std::chrono::sys_time<std::chrono::microseconds>;
using Duration = std::chrono::nanoseconds;

/// Time is a parameter: code below main takes a Clock or an instant, never calls ::now() itself.
/// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Mono mono() const = 0;
  virtual Wall wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  Mono mono() const override;
  Wall wall() const override;
};

/// Whole ones, for wires and logs.
inline std::int64_t in_millis(Duration span) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
}
/// For figures and rates: a span itself stays a Duration.
inline double in_seconds(Duration span) { return std::chrono::duration<double>(span).count(); }

/// Microseconds since 1970-01-01T00:00:00Z.
inline std::int64_t unix_micros(Wall wall) { return wall.time_since_epoch().count(); }
inline Wall wall_from_unix_micros(std::int64_t micros) { return Wall(std::chrono::microseconds(micros)); }

/// "2026-11-21T08:00:00.000000Z": always UTC, always six digits.
std::string format_rfc3339(Wall wall);
/// Accepts "2026-11-21T08:00:00Z", fractions up to nine digits (truncated to micros) and offsets "+08:00".
/// Fails: invalid_argument/bad_timestamp.
Result<Wall> parse_rfc3339(std::string_view text);

}  // namespace tidegate
