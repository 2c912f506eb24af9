#include "worker/engine/engine_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <optional>
#include <string_view>

#include "base/core/check.h"
#include "worker/engine/philox.h"

namespace tidegate::worker {
namespace {

constexpr std::size_t kStopsMax = 16;
constexpr std::size_t kStopBytesMax = 1024;

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

}  // namespace

Result<std::unique_ptr<EngineCore>> EngineCore::create(std::unique_ptr<Backend> backend, ServedModel model,
                                                       EngineLimits limits, std::uint64_t entropy,
                                                       const Clock& clock) {
  const ScheduleLimits& schedule = limits.schedule;
  if (schedule.sequences_max < 1 || schedule.step_tokens_max < schedule.sequences_max ||
      limits.waiting_max < 0 || limits.kv_blocks < 1) {
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

Result<std::shared_ptr<const grammar::Grammar>> EngineCore::compile(const ToolOffer& offer) {
  // submit() refuses those tools, by a name that helps more than their grammar's.
  if (!model_.chat.can_call() && !offer.open().empty()) return std::shared_ptr<const grammar::Grammar>();
  return requested_.find(offer, model_.chat.tool_syntax());
}

Status EngineCore::submit(GenerateRequest request) {
  if (schedule_.find(request.handle) != nullptr) {
    return fail(Code::kAlreadyExists, "handle_in_use", "a sequence with this handle is alive", "handle");
  }
  if (schedule_.running() + schedule_.waiting() >= limits_.schedule.sequences_max + limits_.waiting_max) {
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
    TG_ASSIGN(request.constraint, compile(request.offer));
  }
  TG_ASSIGN(const SamplerParams sampler, resolve(request.sampling, request.handle));
  TG_ASSIGN(std::vector<TokenId> prompt, encode_prompt(request));
  TG_ASSIGN(std::optional<Constraint> constraint, open_constraint(request));

  const std::int32_t room = facts_.context_max - static_cast<std::int32_t>(prompt.size());
  const std::int32_t wanted = request.sampling.max_tokens;
  Sequence::Request sequence{.handle = request.handle,
                             .prompt = std::move(prompt),
                             .sampler = sampler,
                             .completion_max = wanted == 0 ? room : std::min(wanted, room),
                             .stops = std::move(request.sampling.stop),
                             .start = opens_thinking(request) ? AnswerStream::Start::kReasoning
                                                              : AnswerStream::Start::kContent,
                             .tools = request.parser(model_.chat.tool_syntax()),
                             .constraint = std::move(constraint)};
  schedule_.add(std::make_unique<Sequence>(std::move(sequence), pool_));
  return {};
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

std::vector<SequenceEvent> EngineCore::step() {
  const Mono begin = clock_->mono();
  std::vector<SequenceEvent> events;
  for (const SequenceHandle handle : cancels_) {
    if (const Sequence* sequence = schedule_.find(handle))
      finish(sequence->end(FinishReason::kCancelled), events);
  }
  cancels_.clear();
  for (Sequence* sequence : schedule_.admit()) {
    if (sequence->is_accepted()) continue;  // back after a preemption
    events.push_back(sequence->accept());
    load_.prompt_tokens_total += sequence->usage().prompt_tokens;
  }
  std::vector<StepPart> parts = schedule_.plan();
  if (parts.empty()) return events;
  compute(std::move(parts), events);
  ++load_.steps_total;
  load_.step_seconds_last = std::chrono::duration<double>(clock_->mono() - begin).count();
  return events;
}

// A numeric fault ends the sequence that has it and nobody else: the step is computed again without it. That
// is safe, since a row depends on its own sequence only and KV is written again with the same bits.
void EngineCore::compute(std::vector<StepPart> parts, std::vector<SequenceEvent>& events) {
  const auto vocab = static_cast<std::size_t>(backend_->facts().vocab_size);
  std::vector<BatchSequence> batch;
  while (!parts.empty()) {
    batch.clear();
    std::size_t rows = 0;
    for (const StepPart& part : parts) {
      const Sequence& sequence = *part.sequence;
      const auto first = static_cast<std::size_t>(sequence.computed());
      const bool logits = wants_logits(part);
      batch.push_back({.tokens = sequence.tokens().subspan(first, static_cast<std::size_t>(part.count)),
                       .position = sequence.computed(),
                       .blocks = part.sequence->blocks().table(),
                       .want_logits = logits});
      rows += logits ? 1 : 0;
    }
    logits_.resize(rows * vocab);
    const Status done = backend_->forward(batch, logits_);
    if (done) {
      sample(parts, events);
      return;
    }
    const auto faulty = faulty_index(done.error(), parts.size());
    for (std::size_t index = 0; index < parts.size(); ++index) {
      if (faulty && *faulty != index) continue;
      finish(parts[index].sequence->end(FinishReason::kError, done.error()), events);
    }
    if (!faulty) return;
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(*faulty));
  }
}

void EngineCore::sample(const std::vector<StepPart>& parts, std::vector<SequenceEvent>& events) {
  const auto vocab = static_cast<std::size_t>(backend_->facts().vocab_size);
  std::size_t row = 0;
  for (const StepPart& part : parts) {
    Sequence& sequence = *part.sequence;
    const bool logits = wants_logits(part);
    sequence.advance(part.count);
    if (!logits) continue;
    Constraint* constraint = sequence.constraint();
    const grammar::TokenMask* allowed =
        constraint == nullptr ? nullptr : &constraints_.allowed(*constraint, sequence.in_reasoning());
    const auto token = sampler_.sample(std::span(logits_).subspan(row++ * vocab, vocab), sequence.sampler(),
                                       sequence.length(), allowed);
    if (!token) {
      finish(sequence.end(FinishReason::kError, token.error()), events);
      continue;
    }
    ++load_.completion_tokens_total;
    SequenceEvent event = sequence.on_token(*token, rules_);
    if (event.finish) {
      finish(std::move(event), events);
    } else {
      events.push_back(std::move(event));
    }
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
  load.prompt_tokens_left = schedule_.tokens_left();
  load.preemptions_total = schedule_.preemptions_total();
  return load;
}

}  // namespace tidegate::worker
