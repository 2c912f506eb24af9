#pragma once

#include <atomic>
#include <cstdint>

#include "base/core/clock.h"

namespace tidegate::test {

/// Time that moves only when the test says so. Starts at 2026-11-21T08:00:00Z. Thread-safe.
class SimClock final : public Clock {
 public:
  static constexpr std::int64_t kStartMicros = 1795248000000000;

  explicit SimClock(Wall start = wall_from_unix_micros(kStartMicros)) : wall_micros_(unix_micros(start)) {}

  Mono mono() const override { return Mono(Duration(mono_nanos_.load())); }
  Wall wall() const override { return wall_from_unix_micros(wall_micros_.load()); }

  /// Moves both clocks, as real time does.
  void advance(Duration step) {
    mono_nanos_ += step.count();
    wall_micros_ += std::chrono::duration_cast<std::chrono::microseconds>(step).count();
  }
  /// The wall clock jumps (NTP, an operator); the monotonic one must not notice.
  void set_wall(Wall wall) { wall_micros_ = unix_micros(wall); }

 private:
  std::atomic<std::int64_t> mono_nanos_{1'000'000'000};  // not zero, so that a forgotten default shows
  std::atomic<std::int64_t> wall_micros_;
};

}  // namespace tidegate::test
