#include "worker/engine/engine_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "base/core/check.h"
#include "worker/engine/philox.h"

namespace tidegate::worker {
namespace {

constexpr std::size_t kStopsMax = 16;
constexpr std::size_t kStopBytesMax = 1024;
constexpr std::int32_t kLogprobsMax = 20;
constexpr std::int32_t kChoicesMax = 16;
constexpr double kPenaltyMax = 2;
constexpr double kRepetitionMax = 10;
constexpr double kBiasMax = 100;
constexpr std::size_t kBiasesMax = 1024;

std::unexpected<Error> invalid(std::string reason, std::string message, std::string field) {
  return fail(Code::kInvalidArgument, std::move(reason), std::move(message), std::move(field));
}

Status check_stops(const std::vector<std::string>& stops) {
  if (stops.size() > kStopsMax) return invalid("out_of_range", "'stop' takes at most 16 strings", "stop");
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > kStopBytesMax) {
      return invalid("out_of_range", "each string of 'stop' must have 1 to 1024 bytes", "stop");
    }
  }
  return {};
}

// The backend names a faulty row by its batch index: "3" or "batch[3]".
std::optional<std::size_t> faulty_index(const Error& error, std::size_t batch_size) {
  const std::size_t digit = error.field.find_first_of("0123456789");
  if (digit == std::string::npos) return std::nullopt;
  std::size_t index = 0;
  std::from_chars(error.field.data() + digit, error.field.data() + error.field.size(), index);
  return index < batch_size ? std::optional(index) : std::nullopt;
}

bool wants_logits(const StepPart& part) {
  return part.sequence->computed() + part.count == part.sequence->length();
}

/// A salt that only the answers of one request have.
CacheSalt salt_of_one(SequenceHandle handle, std::uint64_t entropy) {
  CacheSalt salt{};
  std::memcpy(salt.data(), &handle, sizeof handle);
  std::memcpy(salt.data() + sizeof handle, &entropy, sizeof entropy);
  return salt;
}

/// Rows of logits that the part gets.
std::size_t rows_of(const StepPart& part) {
  return wants_logits(part) ? 1 + static_cast<std::size_t>(part.drafts) : 0;
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
    return invalid(
        "bad_option",
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
            .kv_tokens_capacity = kv_tokens};
}

Status EngineCore::submit(GenerateRequest request) {
  if (schedule_.find(request.handle) != nullptr || choices_.has(request.handle)) {
    return fail(Code::kAlreadyExists, "handle_in_use", "a sequence with this handle is alive", "handle");
  }
  const std::int32_t wanted = request.sampling.n;
  if (wanted < 1 || wanted > kChoicesMax) {
    return invalid("out_of_range", fmt::format("'n' must be between 1 and {}", kChoicesMax), "n");
  }
  const std::int32_t places = limits_.schedule.sequences_max + limits_.waiting_max;
  if (schedule_.running() + schedule_.waiting() + choices_.waiting() + wanted > places) {
    return fail(Code::kResourceExhausted, "engine_full",
                "every place in the batch and in its queue is taken");
  }
  if (request.messages.empty() && !request.raw) {
    return invalid("missing_field", "'messages' must not be empty", "messages");
  }
  if (request.sampling.max_tokens < 0)
    return invalid("out_of_range", "'max_tokens' must not be negative", "max_tokens");
  TG_TRY(check_stops(request.sampling.stop));
  TG_TRY(check_tools(request));
  if (request.constraint == nullptr) {
    TG_ASSIGN(request.constraint, requested_.find(request, model_.chat.tool_syntax()));
  }
  TG_ASSIGN(const SamplerParams sampler, resolve(request.sampling, request.handle));
  TG_ASSIGN(LogitShape shape, resolve_shape(request.sampling));
  TG_ASSIGN(std::vector<TokenId> prompt, encode_prompt(request));
  TG_ASSIGN(std::optional<Constraint> constraint, open_constraint(request));

  const std::int32_t room = facts_.context_max - static_cast<std::int32_t>(prompt.size());
  const std::int32_t tokens_max = request.sampling.max_tokens;
  Sequence::Request sequence{.handle = request.handle,
                             .prompt = std::move(prompt),
                             .sampler = sampler,
                             .completion_max = tokens_max == 0 ? room : std::min(tokens_max, room),
                             .stops = std::move(request.sampling.stop),
                             .start = opens_thinking(request) ? AnswerStream::Start::kReasoning
                                                              : AnswerStream::Start::kContent,
                             .tools = request.parser(model_.chat.tool_syntax()),
                             .constraint = std::move(constraint),
                             .salt = limits_.prefix_cache ? request.cache_salt : std::nullopt,
                             .shape = std::move(shape),
                             .logprobs = request.sampling.logprobs};
  if (wanted > 1) {
    if (limits_.prefix_cache && !sequence.salt) sequence.salt = salt_of_one(sequence.handle, entropy_);
    choices_.add(sequence.handle, others_of(sequence, wanted - 1));
  }
  schedule_.add(std::make_unique<Sequence>(std::move(sequence), pool_));
  return {};
}

std::vector<std::unique_ptr<Sequence>> EngineCore::others_of(const Sequence::Request& first, std::int32_t count) {
  std::vector<std::unique_ptr<Sequence>> others;
  for (std::int32_t n = 1; n <= count; ++n) {
    Sequence::Request other = first;
    other.handle = choices_.next_handle();
    const std::uint64_t seed = first.sampler.seed;
    const auto drawn = philox4x32({static_cast<std::uint32_t>(n), 0, 2, 0},
                                  {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    other.sampler.seed = std::uint64_t{drawn[1]} << 32 | drawn[0];
    others.push_back(std::make_unique<Sequence>(std::move(other), pool_));
  }
  return others;
}

bool EngineCore::opens_thinking(const GenerateRequest& request) const {
  return !request.raw && model_.chat.opens_thinking(request.messages, request.offer.open());
}

Status EngineCore::check_tools(const GenerateRequest& request) const {
  if (model_.chat.can_call()) return {};
  const auto has_calls = [](const ChatMessage& message) {
    return message.role == Role::kTool || !message.tool_calls.empty();
  };
  const bool is_in_messages = std::ranges::any_of(request.messages, has_calls);
  if (request.offer.open().empty() && !is_in_messages) return {};
  return invalid("unsupported_parameter",
                 "'tools' is not supported by this model: its vocabulary has no tokens for calls; leave it out, and "
                 "calls and their results as well",
                 is_in_messages ? "messages" : "tools");
}

Result<SamplerParams> EngineCore::resolve(const SamplingParams& sampling, SequenceHandle handle) const {
  SamplerParams out = model_.defaults;
  out.temperature = sampling.temperature.value_or(out.temperature);
  out.top_p = sampling.top_p.value_or(out.top_p);
  out.top_k = sampling.top_k.value_or(out.top_k);
  TG_TRY(check_temperature(out.temperature));
  TG_TRY(check_top_p(out.top_p));
  TG_TRY(check_top_k(out.top_k));
  const auto drawn =
      philox4x32({static_cast<std::uint32_t>(handle), static_cast<std::uint32_t>(handle >> 32), 1, 0},
                 {static_cast<std::uint32_t>(entropy_), static_cast<std::uint32_t>(entropy_ >> 32)});
  out.seed = sampling.seed.value_or(std::uint64_t{drawn[1]} << 32 | drawn[0]);
  return out;
}

// Conditions are written so that NaN fails.
Result<LogitShape> EngineCore::resolve_shape(const SamplingParams& sampling) const {
  const auto is_within = [](double value, double most) { return value >= -most && value <= most; };
  if (sampling.logprobs && !(*sampling.logprobs >= 0 && *sampling.logprobs <= kLogprobsMax)) {
    return invalid("out_of_range", fmt::format("'top_logprobs' must be between 0 and {}", kLogprobsMax), "top_logprobs");
  }
  if (!is_within(sampling.frequency_penalty, kPenaltyMax)) {
    return invalid("out_of_range", "'frequency_penalty' must be between -2 and 2", "frequency_penalty");
  }
  if (!is_within(sampling.presence_penalty, kPenaltyMax)) {
    return invalid("out_of_range", "'presence_penalty' must be between -2 and 2", "presence_penalty");
  }
  if (!(sampling.repetition_penalty > 0 && sampling.repetition_penalty <= kRepetitionMax)) {
    return invalid("out_of_range", "'repetition_penalty' must be above 0 and at most 10", "repetition_penalty");
  }
  if (sampling.logit_bias.size() > kBiasesMax) {
    return invalid("out_of_range", fmt::format("'logit_bias' takes at most {} tokens", kBiasesMax), "logit_bias");
  }
  LogitShape shape{.frequency_penalty = sampling.frequency_penalty,
                   .presence_penalty = sampling.presence_penalty,
                   .repetition_penalty = sampling.repetition_penalty,
                   .bias = {}};
  for (const auto& [id, bias] : sampling.logit_bias) {
    if (id < 0 || id >= sampler_.vocab_limit() || !is_within(bias, kBiasMax)) {
      return invalid("out_of_range",
                     fmt::format("'logit_bias' maps token ids below {} to numbers between -100 and 100",
                                 sampler_.vocab_limit()),
                     "logit_bias");
    }
    shape.bias.emplace_back(id, static_cast<float>(bias));
  }
  return shape;
}

Result<std::optional<Constraint>> EngineCore::open_constraint(const GenerateRequest& request) {
  if (request.constraint == nullptr) return std::nullopt;
  const ChatMessage* opening = opening_of(request.messages);
  std::string_view begun;
  if (opening != nullptr && !request.raw) begun = opening->content;
  auto opened = constraints_.open(request.constraint, begun);
  if (opened) return std::optional<Constraint>(*std::move(opened));
  if (opened.error().code != Code::kFailedPrecondition) return fail(std::move(opened).error());
  return invalid("unsupported_response_format", opened.error().message, opened.error().field);
}

Result<std::vector<TokenId>> EngineCore::encode_prompt(const GenerateRequest& request) const {
  // Bytes alone may prove that the prompt cannot fit: then it is not worth encoding.
  const auto context = static_cast<std::size_t>(facts_.context_max);
  const std::size_t bytes =
      request.raw ? request.raw->bytes() : model_.chat.text_bytes(request.messages, request.offer.open());
  const std::size_t at_least = bytes / model_.tokenizer->token_bytes_max();
  std::vector<TokenId> prompt;
  if (at_least < context) {
    TG_ASSIGN(prompt, tokens_of(request));
  }
  if (at_least >= context || prompt.size() >= context) {
    return invalid("context_length_exceeded",
                   fmt::format("the {} at least {} tokens; prompt and answer together may have {}",
                               request.raw ? "prompt takes" : "messages take", std::max(at_least, prompt.size()),
                               context),
                   request.raw ? "prompt" : "messages");
  }
  return prompt;
}

Result<std::vector<TokenId>> EngineCore::tokens_of(const GenerateRequest& request) const {
  if (request.raw) return raw_.encode(*request.raw);
  return model_.chat.encode(request.messages, request.offer.open());
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
  if (const Sequence* sequence = schedule_.find(handle)) finish(sequence->end(FinishReason::kCancelled), events);
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
    if (Choices::is_own(sequence->handle())) continue;  // its prompt counts once
    load_.prompt_tokens_total += sequence->usage().prompt_tokens;
    load_.cached_tokens_total += sequence->usage().cached_tokens;
  }
  std::vector<StepPart> parts = schedule_.plan();
  if (parts.empty()) return events;
  compute(std::move(parts), events);
  ++load_.steps_total;
  std::vector<SequenceHandle> ended;
  events = choices_.translate(std::move(events), ended);
  remove(ended);
  for (auto& sequence : choices_.take_ready()) schedule_.add(std::move(sequence));
  load_.step_seconds_last = std::chrono::duration<double>(clock_->mono() - begin).count();
  return events;
}

// A numeric fault ends the sequence that has it and nobody else: the step is computed again without it. That
// is safe, since a row depends on its own sequence only and KV is written again with the same bits. A wrong guess may lead
// where no sampled token would: a sequence that was fed guesses is given another try without.
void EngineCore::compute(std::vector<StepPart> parts, std::vector<SequenceEvent>& events) {
  const auto vocab = static_cast<std::size_t>(backend_->facts().vocab_size);
  const Mono begin = clock_->mono();
  std::vector<BatchSequence> batch;
  while (!parts.empty()) {
    batch.clear();
    std::size_t rows = 0;
    for (const StepPart& part : parts) {
      Sequence& sequence = *part.sequence;
      batch.push_back({.tokens = sequence.feed(part.count),
                       .position = sequence.computed(),
                       .blocks = sequence.blocks().table(),
                       .want_logits = wants_logits(part),
                       .drafts = part.drafts,
                       .draft_state = can_draft() ? &sequence.draft_state() : nullptr});
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
  for (const StepPart& part : parts) {
    Sequence& sequence = *part.sequence;
    const std::size_t rows = rows_of(part);
    sequence.advance(part.count);
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
