#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/core/clock.h"
#include "worker/backend/backend.h"
#include "worker/engine/choices.h"
#include "worker/engine/constraint.h"
#include "worker/engine/embed_jobs.h"
#include "worker/engine/engine.h"
#include "worker/engine/logit_shaper.h"
#include "worker/engine/requested_grammar.h"
#include "worker/engine/schedule.h"
#include "worker/engine/served_model.h"
#include "worker/tokenizer/raw_template.h"

namespace tidegate::worker {

struct EngineLimits {
  ScheduleLimits schedule;
  std::int32_t waiting_max =
      16;  ///< submissions beyond this are refused: late binding keeps the real queue in the gateway
  std::int32_t kv_blocks = 0;  ///< at least one; the context is cut to what they hold
  bool prefix_cache = true;    ///< false: every prompt is computed whole
  /// The draft layer guesses while at most so many sequences are in the batch: guesses are worth their compute when weights
  /// are read for few. 0: never. Ignored by models without one.
  std::int32_t drafts_batch_max = 0;
};

/// The real serving core: continuous batching over a Backend. See schedule.h for who runs when.
class EngineCore final : public Engine {
 public:
  /// Reserves the KV memory. `entropy` seeds requests that bring no seed. The clock (step times only) must
  /// outlive the engine. Fails: invalid_argument/bad_option, and as Backend::alloc_kv does.
  static Result<std::unique_ptr<EngineCore>> create(std::unique_ptr<Backend> backend, ServedModel model,
                                                    EngineLimits limits, std::uint64_t entropy,
                                                    const Clock& clock);

  const EngineFacts& facts() const override { return facts_; }
  Result<std::shared_ptr<const grammar::Grammar>> compile(const ToolOffer& offer) override;
  Status encode(std::vector<EmbedInput>& inputs) const override;
  Status submit(GenerateRequest request) override;
  void cancel(SequenceHandle handle) override;
  bool idle() const override { return schedule_.empty(); }
  std::vector<SequenceEvent> step() override;
  EngineLoad load() const override;
  Result<std::int32_t> count_prompt(const GenerateRequest& request) const override;

  /// For invariant checks: free (empty or idle) + used = total, always.
  const KvPool& kv_pool() const { return pool_; }
  const ServedModel& model() const { return model_; }

 private:
  EngineCore(std::unique_ptr<Backend> backend, ServedModel model, EngineLimits limits, std::uint64_t entropy,
             const Clock& clock);

  bool opens_thinking(const GenerateRequest& request) const;
  /// Tools, calls and results need tokens of their own.
  Status check_tools(const GenerateRequest& request) const;
  Result<SamplerParams> resolve(const SamplingParams& sampling, SequenceHandle handle) const;
  Result<LogitShape> resolve_shape(const SamplingParams& sampling) const;
  /// Fails as submit() does for a constraint that cannot be kept.
  Result<std::optional<Constraint>> open_constraint(const GenerateRequest& request);
  /// Fails as submit() does for a prompt that does not fit.
  Result<std::vector<TokenId>> encode_prompt(const GenerateRequest& request) const;
  // engine_embed.cc
  Status submit_embed(GenerateRequest request);
  /// So many texts at once.
  Status check_embed(std::size_t inputs) const;
  /// Fails as submit() does for a text that does not fit.
  Result<std::vector<TokenId>> encode_input(const EmbedInput& input, std::size_t place) const;
  void schedule_embeds();
  Result<std::vector<TokenId>> tokens_of(const GenerateRequest& request) const;
  /// Tokens that its bytes come to at least: so much needs no encoding.
  std::size_t tokens_at_least(const GenerateRequest& request) const;
  void compute(std::vector<StepPart> parts, std::vector<SequenceEvent>& events);
  void sample(const std::vector<StepPart>& parts, std::vector<SequenceEvent>& events);
  /// The sequence's next tokens from `rows` of logits: one, and one more for each guess that was right.
  SequenceEvent speak(Sequence& sequence, std::span<const float> rows);
  Result<TokenId> choose(Sequence& sequence, std::span<const float> row);
  /// Guesses for sequences that will decode next.
  void draft(std::span<Sequence* const> sequences);
  bool can_draft() const { return limits_.drafts_batch_max > 0 && backend_->can_draft(); }
  void finish(SequenceEvent event, std::vector<SequenceEvent>& events);
  /// The other answers of a request whose first one is `first`.
  std::vector<std::unique_ptr<Sequence>> others_of(const Sequence::Request& first, std::int32_t count);
  void end_cancelled(SequenceHandle handle, std::vector<SequenceEvent>& events);
  void remove(const std::vector<SequenceHandle>& handles);
  /// Each request has one last event, whatever became of it.
  void count_ended(const std::vector<SequenceEvent>& events);

  std::unique_ptr<Backend> backend_;
  ServedModel model_;
  RawTemplate raw_;
  EngineLimits limits_;
  std::uint64_t entropy_;
  const Clock* clock_;
  TokenRules rules_;
  Sampler sampler_;
  LogitShaper shaper_;
  Constraints constraints_;
  RequestedGrammars requested_;  ///< any thread
  KvPool pool_;  // before schedule_: sequences give their blocks back to it
  Schedule schedule_;
  Choices choices_;  // behind pool_, as schedule_
  EmbedJobs embeds_;  // behind pool_, as schedule_
  std::int32_t requests_ = 0;  ///< submitted and not ended: one with several answers is one
  EngineFacts facts_;
  EngineLoad load_;
  std::vector<SequenceHandle> cancels_;  ///< take effect at the next step
  std::vector<float> logits_;
  std::vector<float> draft_logits_;
  std::vector<float> states_;  ///< of the step's tokens whose vectors are wanted, in the order of its parts
};

}  // namespace tidegate::worker
