#pragma once

#include <atomic>
#include <cstdint>

#include "base/core/clock.h"

namespace tidegate::test {

/// The real clock, and a way to have waited. Thread-safe.
class ShiftedClock final : public Clock {
 public:
  Mono mono() const override { return system_.mono() + Duration(shift_ns_.load()); }
  Wall wall() const override { return system_.wall(); }
  void shift(Duration by) { shift_ns_ += by.count(); }

 private:
  SystemClock system_;
  std::atomic<std::int64_t> shift_ns_ = 0;
};

}  // namespace tidegate::test
