#include "worker/engine/engine_core.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

namespace tidegate::worker {
namespace {

// The backend names a faulty row by its batch index: "3" or "batch[3]".
std::optional<std::size_t> faulty_index(const Error& error, std::size_t batch_size) {
  const std::size_t digit = error.field.find_first_of("0123456789");
  if (digit == std::string::npos) return std::nullopt;
  std::size_t index = 0;
  std::from_chars(error.field.data() + digit, error.field.data() + error.field.size(), index);
  return index < batch_size ? std::optional(index) : std::nullopt;
}

bool wants_logits(const StepPart& part) {
  return part.sequence->pooler() == nullptr && part.sequence->computed() + part.count == part.sequence->length();
}

/// Rows of logits that the part gets.
std::size_t rows_of(const StepPart& part) {
  return wants_logits(part) ? 1 + static_cast<std::size_t>(part.drafts) : 0;
}

/// Dense ones whose states behind the last norm embedding models are made of. Others have no such models, so nobody could say
/// what their vectors are worth.
bool makes_embeddings(const ModelFacts& facts) {
  return facts.hidden_size > 0 && (facts.architecture == "LlamaForCausalLM" || facts.architecture == "Qwen2ForCausalLM");
}

/// Shares `micros` by tokens fed, to the last one.
void share_device_time(std::span<const StepPart> parts, std::int64_t micros) {
  std::int64_t total = 0;
  for (const StepPart& part : parts) total += part.count + part.drafts;
  std::int64_t fed = 0;
  for (const StepPart& part : parts) {
    const std::int64_t before = micros * fed / total;
    fed += part.count + part.drafts;
    part.sequence->add_device_time(micros * fed / total - before);
  }
}

}  // namespace

Result<std::unique_ptr<EngineCore>> EngineCore::create(std::unique_ptr<Backend> backend, ServedModel model,
                                                       EngineLimits limits, std::uint64_t entropy,
                                                       const Clock& clock) {
  const ScheduleLimits& schedule = limits.schedule;
  if (schedule.sequences_max < 1 || schedule.step_tokens_max < schedule.sequences_max ||
      limits.waiting_max < 0 || limits.kv_blocks < 1 || limits.drafts_batch_max < 0) {
    return fail(Code::kInvalidArgument, "bad_option",
                "the engine needs at least one sequence, one KV block, and a step budget of a token per sequence",
                "limits");
  }
  TG_TRY(backend->alloc_kv(limits.kv_blocks));
  return std::unique_ptr<EngineCore>(
      new EngineCore(std::move(backend), std::move(model), limits, entropy, clock));
}

EngineCore::EngineCore(std::unique_ptr<Backend> backend, ServedModel model, EngineLimits limits,
                       std::uint64_t entropy, const Clock& clock)
    : backend_(std::move(backend)),
      model_(std::move(model)),
      raw_(*model_.tokenizer, model_.chat.bos()),
      limits_(limits),
      entropy_(entropy),
      clock_(&clock),
      rules_{model_.tokenizer.get(), model_.end_tokens, model_.chat.think_end(), model_.chat.think(), &model_.chat},
      sampler_(std::min(model_.tokenizer->vocab_limit(), backend_->facts().vocab_size)),
      constraints_(*model_.tokenizer, model_.end_tokens,
                   std::min(model_.tokenizer->vocab_limit(), backend_->facts().vocab_size)),
      pool_(limits.kv_blocks),
      schedule_(limits.schedule, pool_) {
  const ModelFacts& facts = backend_->facts();
  const std::int64_t kv_tokens = std::int64_t{limits.kv_blocks} * kKvBlockTokens;
  facts_ = {.engine = "cpu",
            .architecture = facts.architecture,
            .weights_digest = facts.weights_digest,
            .context_max = static_cast<std::int32_t>(std::min<std::int64_t>(facts.context_max, kv_tokens)),
            .sequences_max = limits.schedule.sequences_max,
            .kv_tokens_capacity = kv_tokens,
            .abilities = {.choices = true, .logprobs = true, .penalties = true, .logit_bias = true, .count = true,
                          .embed = model_.pooling.has_value() && makes_embeddings(facts)}};
}

void EngineCore::cancel(SequenceHandle handle) {
  cancels_.push_back(handle);
}

void EngineCore::end_cancelled(SequenceHandle handle, std::vector<SequenceEvent>& events) {
  if (choices_.has(handle)) {
    std::vector<SequenceHandle> scheduled;
    const SequenceUsage usage = choices_.close(handle, scheduled);
    remove(scheduled);
    SequenceEvent event{.handle = handle, .usage = usage, .finish = FinishReason::kCancelled};
    event.choice = SequenceEvent::kWholeRequest;
    events.push_back(std::move(event));
    return;
  }
  if (embeds_.has(handle)) {
    std::vector<SequenceHandle> scheduled;
    const SequenceUsage usage = embeds_.close(handle, scheduled);
    remove(scheduled);
    SequenceEvent event{.handle = handle, .usage = usage, .finish = FinishReason::kCancelled};
    event.choice = SequenceEvent::kWholeRequest;
    events.push_back(std::move(event));
    return;
  }
  if (const Sequence* sequence = schedule_.find(handle)) finish(sequence->end(FinishReason::kCancelled), events);
}

void EngineCore::count_ended(const std::vector<SequenceEvent>& events) {
  requests_ -= static_cast<std::int32_t>(
      std::ranges::count_if(events, [](const SequenceEvent& event) { return event.finish.has_value(); }));
}

void EngineCore::remove(const std::vector<SequenceHandle>& handles) {
  for (const SequenceHandle handle : handles) schedule_.remove(handle);
}

std::vector<SequenceEvent> EngineCore::step() {
  const Mono begin = clock_->mono();
  std::vector<SequenceEvent> events;
  for (const SequenceHandle handle : cancels_) end_cancelled(handle, events);
  cancels_.clear();
  for (Sequence* sequence : schedule_.admit()) {
    if (sequence->is_accepted()) continue;  // back after a preemption
    events.push_back(sequence->accept());
    // The prompt of several answers counts once.
    if (Choices::is_own(sequence->handle()) && sequence->pooler() == nullptr) continue;
    load_.prompt_tokens_total += sequence->usage().prompt_tokens;
    load_.cached_tokens_total += sequence->usage().cached_tokens;
  }
  std::vector<StepPart> parts = schedule_.plan();
  if (parts.empty()) {
    count_ended(events);
    return events;
  }
  compute(std::move(parts), events);
  ++load_.steps_total;
  std::vector<SequenceHandle> ended;
  events = choices_.translate(embeds_.translate(std::move(events), ended), ended);
  remove(ended);
  schedule_embeds();
  for (auto& sequence : choices_.take_ready()) schedule_.add(std::move(sequence));
  count_ended(events);
  load_.step_seconds_last = std::chrono::duration<double>(clock_->mono() - begin).count();
  return events;
}

// A numeric fault ends the sequence that has it and nobody else: the step is computed again without it. That
// is safe, since a row depends on its own sequence only and KV is written again with the same bits. A wrong guess may lead
// where no sampled token would: a sequence that was fed guesses is given another try without.
void EngineCore::compute(std::vector<StepPart> parts, std::vector<SequenceEvent>& events) {
  const auto vocab = static_cast<std::size_t>(backend_->facts().vocab_size);
  const auto width = static_cast<std::size_t>(backend_->facts().hidden_size);
  const Mono begin = clock_->mono();
  std::vector<BatchSequence> batch;
  while (!parts.empty()) {
    batch.clear();
    std::size_t rows = 0;
    std::size_t pooled = 0;
    for (const StepPart& part : parts) {
      if (part.sequence->pooler() != nullptr) pooled += static_cast<std::size_t>(part.count) * width;
    }
    states_.resize(pooled);
    float* states = states_.data();
    for (const StepPart& part : parts) {
      Sequence& sequence = *part.sequence;
      batch.push_back({.tokens = sequence.feed(part.count),
                       .position = sequence.computed(),
                       .blocks = sequence.blocks().table(),
                       .want_logits = wants_logits(part),
                       .drafts = part.drafts,
                       .draft_state = can_draft() ? &sequence.draft_state() : nullptr});
      if (sequence.pooler() != nullptr) {
        batch.back().states = states;
        states += static_cast<std::size_t>(part.count) * width;
      }
      rows += rows_of(part);
    }
    logits_.resize(rows * vocab);
    const Status done = backend_->forward(batch, logits_);
    if (done) {
      share_device_time(parts, std::chrono::duration_cast<std::chrono::microseconds>(clock_->mono() - begin).count());
      sample(parts, events);
      return;
    }
    const auto faulty = faulty_index(done.error(), parts.size());
    if (faulty && parts[*faulty].drafts > 0) {
      parts[*faulty].drafts = 0;
      parts[*faulty].sequence->drop_drafts();
      continue;
    }
    for (std::size_t index = 0; index < parts.size(); ++index) {
      if (faulty && *faulty != index) continue;
      parts[index].sequence->blocks().forget();  // whatever went wrong may be in them
      finish(parts[index].sequence->end(FinishReason::kError, done.error()), events);
    }
    if (!faulty) return;
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(*faulty));
  }
}

void EngineCore::sample(const std::vector<StepPart>& parts, std::vector<SequenceEvent>& events) {
  const auto vocab = static_cast<std::size_t>(backend_->facts().vocab_size);
  std::vector<Sequence*> speaking;
  std::size_t row = 0;
  std::span<const float> states(states_);
  for (const StepPart& part : parts) {
    Sequence& sequence = *part.sequence;
    const std::size_t rows = rows_of(part);
    sequence.advance(part.count);
    if (Pooler* const pooler = sequence.pooler()) {
      const auto count = static_cast<std::size_t>(part.count) * static_cast<std::size_t>(backend_->facts().hidden_size);
      pooler->add(states.first(count));
      states = states.subspan(count);
      if (sequence.computed() < sequence.length()) continue;
      SequenceEvent event = sequence.end(FinishReason::kStop);
      event.embedding = pooler->vector();
      finish(std::move(event), events);
      continue;
    }
    if (rows == 0) continue;
    SequenceEvent event = speak(sequence, std::span(logits_).subspan(row * vocab, rows * vocab));
    row += rows;
    if (event.finish) {
      finish(std::move(event), events);
    } else {
      speaking.push_back(&sequence);
      events.push_back(std::move(event));
    }
  }
  if (can_draft() && schedule_.running() <= limits_.drafts_batch_max) draft(speaking);
}

// Each token is drawn as if there were no guesses: a function of the logits before it, the seed and its position. A guess is
// right if it is that very token, so speculation changes no answer, seeded or not, greedy or not. Accepting a guess with
// the chance that the model gives it (rejection sampling) would be as exact in distribution only.
SequenceEvent EngineCore::speak(Sequence& sequence, std::span<const float> rows) {
  const auto vocab = static_cast<std::size_t>(backend_->facts().vocab_size);
  const std::vector<TokenId> guesses = sequence.take_drafts();
  load_.drafted_tokens_total += static_cast<std::int64_t>(guesses.size());
  SequenceEvent said{.handle = sequence.handle()};
  for (std::size_t n = 0;; ++n) {
    const auto raw = rows.subspan(n * vocab, vocab);
    const auto token = choose(sequence, raw);
    if (!token) {
      sequence.blocks().forget();
      append(said, sequence.end(FinishReason::kError, token.error()));
      return said;
    }
    std::optional<TokenLogprob> logprob;
    if (sequence.logprobs()) {
      logprob = measure_logprob(raw, sampler_.vocab_limit(), *token, *sequence.logprobs(), *model_.tokenizer);
    }
    ++load_.completion_tokens_total;
    append(said, sequence.on_token(*token, rules_, std::move(logprob)));
    const bool is_guessed = n < guesses.size() && guesses[n] == *token;
    if (is_guessed) {
      sequence.count_accepted();
      ++load_.accepted_tokens_total;
    }
    said.usage = sequence.usage();
    if (said.finish || !is_guessed) return said;
    sequence.advance(1);
  }
}

Result<TokenId> EngineCore::choose(Sequence& sequence, std::span<const float> row) {
  Constraint* constraint = sequence.constraint();
  const grammar::TokenMask* allowed =
      constraint == nullptr ? nullptr : &constraints_.allowed(*constraint, sequence.in_reasoning());
  const auto shaped = shaper_.apply(row, sequence.shape(), sequence.history());
  return sampler_.sample(shaped, sequence.sampler(), sequence.length(), allowed);
}

// A guess is drawn as its token will be, by the same seed and position and under the same format: two distributions that are
// alike then mostly give the same token.
void EngineCore::draft(std::span<Sequence* const> sequences) {
  const auto vocab = static_cast<std::size_t>(backend_->facts().vocab_size);
  const Mono begin = clock_->mono();
  std::vector<Sequence*> guessing;
  std::vector<StepPart> shares;
  std::vector<DraftSequence> batch;
  for (Sequence* sequence : sequences) {
    DraftState& state = sequence->draft_state();
    if (state.position < 0 || !sequence->can_use_draft()) continue;
    const auto tokens = sequence->tokens().subspan(static_cast<std::size_t>(state.position) + 1);
    batch.push_back({.tokens = tokens, .blocks = sequence->blocks().table(), .state = &state});
    guessing.push_back(sequence);
    shares.push_back({sequence, static_cast<std::int32_t>(tokens.size())});
  }
  if (batch.empty()) return;
  draft_logits_.resize(batch.size() * vocab);
  if (!backend_->draft(batch, draft_logits_)) return;
  share_device_time(shares, std::chrono::duration_cast<std::chrono::microseconds>(clock_->mono() - begin).count());
  for (std::size_t index = 0; index < guessing.size(); ++index) {
    const auto guess = choose(*guessing[index], std::span(draft_logits_).subspan(index * vocab, vocab));
    if (guess) guessing[index]->set_drafts({*guess});
  }
}

void EngineCore::finish(SequenceEvent event, std::vector<SequenceEvent>& events) {
  schedule_.remove(event.handle);
  events.push_back(std::move(event));
}

EngineLoad EngineCore::load() const {
  EngineLoad load = load_;
  load.sequences_running = schedule_.running();
  load.sequences_waiting = schedule_.waiting();
  load.kv_tokens_used = std::int64_t{pool_.blocks_used()} * kKvBlockTokens;
  load.kv_tokens_idle = std::int64_t{pool_.blocks_idle()} * kKvBlockTokens;
  load.prompt_tokens_left = schedule_.tokens_left();
  load.preemptions_total = schedule_.preemptions_total();
  return load;
}

}  // namespace tidegate::worker
