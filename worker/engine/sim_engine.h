#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "worker/engine/answer_stream.h"
#include "worker/engine/engine.h"

namespace tidegate::worker {

struct SimOptions {
  Duration step_interval = std::chrono::milliseconds(20);  ///< one token per running sequence and step
  double prefill_tokens_per_second = 20000;                ///< shared by all sequences, in order of admission
  std::int32_t sequences_max = 64;
  std::int32_t waiting_max = 64;
  std::int32_t context_max = 8192;
  std::int32_t reasoning_tokens = 16;  ///< of every answer, </think> included; 0 = none
  std::int32_t content_tokens = 112;   ///< of every answer, before its end token
};

/// Not a model: deterministic words at a set pace, for load tests of everything around an engine. It says so
/// in facts().engine == "sim" and in its weights digest.
///
/// A prompt token is four bytes of message text, rounded up per message, plus four per message for the
/// template; a raw prompt counts as one message and is answered without reasoning, and each open tool counts as one.
/// A request that must call a tool is answered with one call of it, whose arguments have the shape of its schema
/// (sim_json.h); one with a response format with such JSON; one that may call a tool never does. Every completion token is one word drawn from (seed or handle, position), so the same request
/// with a seed gives the same answer. max_tokens, stop strings, context, cancellation and usage behave as in
/// the real engine; penalties change nothing.
class SimEngine final : public Engine {
 public:
  /// The clock must outlive the engine.
  SimEngine(SimOptions options, const Clock& clock);
  ~SimEngine() override;

  const EngineFacts& facts() const override { return facts_; }
  Status submit(GenerateRequest request) override;
  void cancel(SequenceHandle handle) override { cancels_.push_back(handle); }
  bool idle() const override { return live_.empty(); }
  /// Returns at once. Only cancellations happen before next_step_at().
  std::vector<SequenceEvent> step() override;
  EngineLoad load() const override;
  Result<std::int32_t> count_prompt(const GenerateRequest& request) const override;
  std::optional<Mono> next_step_at() const override;

 private:
  struct Live;
  bool due() const;
  void prefill(std::vector<SequenceEvent>& events);
  void decode(Live& live, std::vector<SequenceEvent>& events) const;

  SimOptions options_;
  const Clock* clock_;
  EngineFacts facts_;
  EngineLoad load_;
  Mono next_step_;
  double prefill_carry_ = 0;  ///< fraction of a token that the last step's prefill budget left
  std::vector<std::unique_ptr<Live>>
      live_;  ///< in order of submission; the first sequences_max are in the batch
  std::vector<SequenceHandle> cancels_;
};

}  // namespace tidegate::worker
