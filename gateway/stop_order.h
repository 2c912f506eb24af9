#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "base/core/deadline.h"

namespace tidegate::gateway {

/// Whether a process was told to stop, and how urgently. It only grows. Any thread.
class StopOrder {
 public:
  /// As SIGTERM: the first begins the stop, the second is of somebody who does not wait; more change nothing.
  void give();
  /// As two of them: for a process that cannot serve on.
  void give_at_once();
  /// Returns when the first was given.
  void wait();
  /// True when the second was given, false when the deadline passed before.
  bool wait_at_once(Deadline deadline);

 private:
  enum class Urgency : std::uint8_t { kNone, kStop, kAtOnce };

  std::mutex mutex_;
  std::condition_variable changed_;
  Urgency urgency_ = Urgency::kNone;
};

}  // namespace tidegate::gateway
