#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "worker/engine/engine_core.h"

namespace tidegate::worker {

/// An EngineCore, looked at step by step from between it and its host: what a cancel must have done by the next step, how many
/// blocks those who are left can own, and the moments that the totals at the end do not show. For requests with one answer.
class WatchedEngine final : public Engine {
 public:
  explicit WatchedEngine(EngineCore& engine) : engine_(engine) {}

  const EngineFacts& facts() const override { return engine_.facts(); }
  Result<std::shared_ptr<const grammar::Grammar>> compile(const ToolOffer& offer) override { return engine_.compile(offer); }
  Status submit(GenerateRequest request) override {
    const SequenceHandle handle = request.handle;
    const RequestId id = request.request;
    Status submitted = engine_.submit(std::move(request));
    if (submitted) live_.emplace(handle, Watched{.request = id, .usage = {}});
    return submitted;
  }
  void cancel(SequenceHandle handle) override {
    if (live_.contains(handle)) cancelled_.push_back(handle);
    engine_.cancel(handle);
  }
  bool idle() const override { return engine_.idle(); }
  std::vector<SequenceEvent> step() override {
    const std::int64_t preempted_before = engine_.load().preemptions_total;
    std::vector<SequenceEvent> events = engine_.step();
    std::set<SequenceHandle> spoke;
    for (const SequenceEvent& event : events) {
      spoke.insert(event.handle);
      look_at(event);
    }
    for (const SequenceHandle handle : cancelled_) {
      EXPECT_FALSE(live_.contains(handle)) << "cancelled, and there after a step";
      ++cancels_done;
    }
    cancelled_.clear();
    if (engine_.load().preemptions_total > preempted_before) {
      // Who decodes has a token in each step, unless it had to leave.
      for (const auto& [handle, watched] : live_) {
        if (watched.usage.completion_tokens > 0 && !spoke.contains(handle)) preempted.insert(watched.request);
      }
    }
    check_blocks();
    return events;
  }
  EngineLoad load() const override { return engine_.load(); }
  Result<std::int32_t> count_prompt(const GenerateRequest& request) const override { return engine_.count_prompt(request); }
  std::optional<Mono> next_step_at() const override { return engine_.next_step_at(); }
  void set_wake(std::function<void()> wake) override { engine_.set_wake(std::move(wake)); }

  std::set<RequestId> preempted;        ///< thrown out amid their answers
  std::int64_t cancels_done = 0;        ///< each checked one step after it was asked for
  std::int64_t stops_inside_drafts = 0; ///< a stop string was complete at a right guess, or at the token behind it
  std::int64_t steps_checked = 0;       ///< their blocks were held against what the living can own

 private:
  struct Watched {
    RequestId request;
    SequenceUsage usage;
  };

  void look_at(const SequenceEvent& event) {
    const auto found = live_.find(event.handle);
    if (found == live_.end()) return;
    const SequenceUsage before = std::exchange(found->second.usage, event.usage);
    if (!event.finish) return;
    const bool is_stop = event.finish == FinishReason::kStop && !event.stop_text.empty();
    if (is_stop && event.usage.accepted_tokens > before.accepted_tokens) ++stops_inside_drafts;
    live_.erase(found);
  }

  /// A table covers the sequence, the token that comes next and one guess.
  void check_blocks() {
    std::int64_t most = 0;
    for (const auto& [handle, watched] : live_) {
      if (watched.usage.prompt_tokens == 0) continue;  // waits
      most += kv_blocks_for(std::int64_t{watched.usage.prompt_tokens} + watched.usage.completion_tokens + 2);
    }
    EXPECT_LE(engine_.kv_pool().blocks_used(), most) << "somebody who is gone still owns blocks";
    ++steps_checked;
  }

  EngineCore& engine_;
  std::map<SequenceHandle, Watched> live_;
  std::vector<SequenceHandle> cancelled_;
};

}  // namespace tidegate::worker
