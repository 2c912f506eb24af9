#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker/engine/engine.h"

namespace tidegate::worker {

/// An Engine that says what a test tells it to. Each sequence is accepted in its first step, then yields one
/// entry of the script per step, then finishes with kStop. One entry counts as one completion token.
class FakeEngine final : public Engine {
 public:
  struct Delta {
    std::string reasoning;
    std::string content;
  };

  FakeEngine() {
    facts_ = {.engine = "fake",
              .architecture = "FakeForCausalLM",
              .weights_digest = "sha256:00",
              .context_max = 1024,
              .sequences_max = 16,
              .kv_tokens_capacity = 16384};
  }

  // What tests set.
  std::vector<Delta> script = {{"think", ""}, {"", "answer"}};
  bool is_endless = false;  ///< the script begins again when it is over
  std::int32_t prompt_tokens = 5;
  std::int32_t prompt_counted = 5;  ///< what count_prompt() says; set before the engine's thread runs anything
  std::int32_t cached_tokens = 0;
  std::int64_t prompt_tokens_left = 0;
  /// Before the engine is shared; called on whatever thread compile() is.
  std::function<Result<std::shared_ptr<const grammar::Grammar>>(const ToolOffer&)> on_compile;
  /// The same, of encode().
  std::function<Status(std::vector<EmbedInput>&)> on_encode;
  /// While true, step() yields nothing and sequences stay where they are.
  bool frozen = false;
  void fail_next_submit(Error error) { submit_error_ = std::move(error); }
  /// The next step ends this sequence with kError.
  void fail_sequence(SequenceHandle handle, Error error) { failing_.emplace_back(handle, std::move(error)); }

  // What tests look at.
  std::vector<GenerateRequest> submitted;
  std::vector<SequenceHandle> cancelled;

  const EngineFacts& facts() const override { return facts_; }
  EngineFacts& mutable_facts() { return facts_; }

  Result<std::shared_ptr<const grammar::Grammar>> compile(const ToolOffer& offer) override {
    if (on_compile) return on_compile(offer);
    return std::shared_ptr<const grammar::Grammar>();
  }
  Status encode(std::vector<EmbedInput>& inputs) const override {
    return on_encode ? on_encode(inputs) : Status();
  }
  Status submit(GenerateRequest request) override {
    if (submit_error_) return fail(*std::exchange(submit_error_, std::nullopt));
    live_.push_back({.handle = request.handle});
    submitted.push_back(std::move(request));
    return {};
  }

  void cancel(SequenceHandle handle) override {
    cancelled.push_back(handle);
    pending_cancel_.push_back(handle);
  }
  bool idle() const override { return live_.empty(); }
  Result<std::int32_t> count_prompt(const GenerateRequest&) const override { return prompt_counted; }

  std::vector<SequenceEvent> step() override {
    std::vector<SequenceEvent> events;
    if (frozen) return events;
    ++load_.steps_total;
    for (Live& live : live_) step_one(live, events);
    std::erase_if(live_, [](const Live& live) { return live.finished; });
    pending_cancel_.clear();
    failing_.clear();
    return events;
  }

  EngineLoad load() const override {
    EngineLoad load = load_;
    load.sequences_running = static_cast<std::int32_t>(live_.size());
    load.prompt_tokens_left = prompt_tokens_left;
    return load;
  }

 private:
  struct Live {
    SequenceHandle handle = 0;
    bool accepted = false;
    bool finished = false;
    std::size_t next = 0;
    SequenceUsage usage;
  };

  void step_one(Live& live, std::vector<SequenceEvent>& events) {
    SequenceEvent event{.handle = live.handle};
    const Error* error = nullptr;
    for (const auto& [handle, reason] : failing_) error = handle == live.handle ? &reason : error;
    bool cancel = false;
    for (const SequenceHandle handle : pending_cancel_) cancel = cancel || handle == live.handle;
    if (error != nullptr) {
      event.finish = FinishReason::kError;
      event.error = *error;
    } else if (cancel) {
      event.finish = FinishReason::kCancelled;
    } else if (!live.accepted) {
      live.accepted = event.accepted = true;
      live.usage.prompt_tokens = prompt_tokens;
      live.usage.cached_tokens = cached_tokens;
    } else if (live.next < script.size()) {
      const Delta& delta = script[live.next++];
      event.reasoning = delta.reasoning;
      event.content = delta.content;
      ++live.usage.completion_tokens;
      if (!delta.reasoning.empty()) ++live.usage.reasoning_tokens;
      if (is_endless && live.next == script.size()) live.next = 0;
    }
    if (!event.finish && live.accepted && !event.accepted && live.next >= script.size()) {
      event.finish = FinishReason::kStop;
    }
    event.usage = live.usage;
    live.finished = event.finish.has_value();
    events.push_back(std::move(event));
  }

  EngineFacts facts_;
  EngineLoad load_;
  std::vector<Live> live_;
  std::vector<SequenceHandle> pending_cancel_;
  std::vector<std::pair<SequenceHandle, Error>> failing_;
  std::optional<Error> submit_error_;
};

}  // namespace tidegate::worker
