#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "worker/host/session.h"

namespace tidegate::worker {

/// A Session stream that keeps every frame. Thread-safe.
class FakeSink final : public SessionSink {
 public:
  SendResult try_send(SessionFrame& frame) override {
    const std::lock_guard lock(mutex_);
    if (answer_ == SendResult::kTaken) frames_.push_back(std::move(frame));
    return answer_;
  }
  void answer(SendResult result) {
    const std::lock_guard lock(mutex_);
    answer_ = result;
  }

  std::vector<SessionFrame> frames() const {
    const std::lock_guard lock(mutex_);
    return frames_;
  }
  std::uint64_t credits() const {
    const auto all = frames();
    return all.empty() ? 0 : all.back().credits_total;
  }
  /// Everything one sequence said, in order.
  std::vector<SessionEvent> events_of(std::uint64_t sequence) const {
    std::vector<SessionEvent> events;
    for (const SessionFrame& frame : frames()) {
      for (const SessionEvent& event : frame.events) {
        if (event.sequence == sequence) events.push_back(event);
      }
    }
    return events;
  }
  bool finished(std::uint64_t sequence) const {
    const auto events = events_of(sequence);
    return !events.empty() && events.back().finish.has_value();
  }

 private:
  mutable std::mutex mutex_;
  SendResult answer_ = SendResult::kTaken;
  std::vector<SessionFrame> frames_;
};

}  // namespace tidegate::worker
