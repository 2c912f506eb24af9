// What a request must be like, and what becomes of it: limits, defaults, prompt, seeds.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "worker/engine/engine_core.h"
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

Status check_stops(const std::vector<std::string>& stops) {
  if (stops.size() > kStopsMax) return invalid("out_of_range", "'stop' takes at most 16 strings", "stop");
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > kStopBytesMax) {
      return invalid("out_of_range", "each string of 'stop' must have 1 to 1024 bytes", "stop");
    }
  }
  return {};
}

/// A salt that only the answers of one request have.
CacheSalt salt_of_one(SequenceHandle handle, std::uint64_t entropy) {
  CacheSalt salt{};
  std::memcpy(salt.data(), &handle, sizeof handle);
  std::memcpy(salt.data() + sizeof handle, &entropy, sizeof entropy);
  return salt;
}

}  // namespace

Result<std::shared_ptr<const grammar::Grammar>> EngineCore::compile(const ToolOffer& offer) {
  // submit() refuses those tools, by a name that helps more than their grammar's.
  if (!model_.chat.can_call() && !offer.open().empty()) return std::shared_ptr<const grammar::Grammar>();
  return requested_.find(offer, model_.chat.tool_syntax());
}

Status EngineCore::submit(GenerateRequest request) {
  if (schedule_.find(request.handle) != nullptr || choices_.has(request.handle) || embeds_.has(request.handle)) {
    return fail(Code::kAlreadyExists, "handle_in_use", "a sequence with this handle is alive", "handle");
  }
  const std::int32_t wanted = request.sampling.n;
  if (wanted < 1 || wanted > kChoicesMax) {
    return invalid("out_of_range", fmt::format("'n' must be between 1 and {}", kChoicesMax), "n");
  }
  const std::int32_t places = limits_.schedule.sequences_max + limits_.waiting_max;
  // By requests: whoever used a credit has a place, also when others want several answers.
  if (requests_ >= places) {
    return fail(Code::kResourceExhausted, "engine_full",
                "every place in the batch and in its queue is taken");
  }
  if (!request.embed.empty()) return submit_embed(std::move(request));
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
                             .tenant = request.cache_salt.value_or(CacheSalt{}),
                             .shape = std::move(shape),
                             .logprobs = request.sampling.logprobs};
  if (wanted > 1) {
    if (limits_.prefix_cache && !sequence.salt) sequence.salt = salt_of_one(sequence.handle, entropy_);
    choices_.add(sequence.handle, others_of(sequence, wanted - 1));
  }
  schedule_.add(std::make_unique<Sequence>(std::move(sequence), pool_));
  ++requests_;
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
                 fmt::format("'tools' is not supported by this model: {}; leave it out, and calls and their results as "
                             "well",
                             model_.chat.cannot_call_because()),
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
  const std::size_t at_least = tokens_at_least(request);
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

std::size_t EngineCore::tokens_at_least(const GenerateRequest& request) const {
  const std::size_t bytes =
      request.raw ? request.raw->bytes() : model_.chat.text_bytes(request.messages, request.offer.open());
  return bytes / model_.tokenizer->token_bytes_max();
}

Result<std::int32_t> EngineCore::count_prompt(const GenerateRequest& request) const {
  TG_TRY(check_tools(request));
  const std::size_t at_least = tokens_at_least(request);
  if (at_least >= static_cast<std::size_t>(facts_.context_max)) {
    return invalid("context_length_exceeded",
                   fmt::format("the {} at least {} tokens; prompt and answer together may have {}",
                               request.raw ? "prompt takes" : "messages take", at_least, facts_.context_max),
                   request.raw ? "prompt" : "messages");
  }
  TG_ASSIGN(const std::vector<TokenId> prompt, tokens_of(request));
  return static_cast<std::int32_t>(prompt.size());
}

Result<std::vector<TokenId>> EngineCore::tokens_of(const GenerateRequest& request) const {
  if (request.raw) return raw_.encode(*request.raw);
  return model_.chat.encode(request.messages, request.offer.open());
}

}  // namespace tidegate::worker
