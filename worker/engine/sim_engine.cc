#include "worker/engine/sim_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <string_view>
#include <utility>

#include "worker/engine/philox.h"
#include "worker/engine/sim_json.h"

namespace tidegate::worker {
namespace {

constexpr std::array<std::string_view, 16> kSimWords = {"moon", "tide", "gate", "river", "autumn", "snow",
                                                     "wine", "pine", "月",   "潮",    "门",     "江",
                                                     "秋",   "雪",   "酒",   "松"};

std::int32_t prompt_tokens(const GenerateRequest& request) {
  constexpr std::size_t kBytesPerToken = 4;
  constexpr std::int64_t kTemplateTokens = 4;
  const auto text_tokens = [](std::size_t bytes) {
    return static_cast<std::int64_t>((bytes + kBytesPerToken - 1) / kBytesPerToken) + kTemplateTokens;
  };
  std::int64_t tokens = request.raw ? text_tokens(request.raw->bytes()) : 0;
  for (const ChatMessage& message : request.messages) {
    std::size_t bytes = message.content.size() + (message.begins_answer ? message.reasoning.size() : 0);
    for (const ToolCall& call : message.tool_calls) bytes += call.name.size() + call.arguments.size();
    tokens += text_tokens(bytes);
  }
  for (const ToolSpec& tool : request.offer.open()) {
    tokens += text_tokens(tool.name.size() + tool.description.size() + tool.parameters.size());
  }
  return static_cast<std::int32_t>(std::min<std::int64_t>(tokens, std::numeric_limits<std::int32_t>::max()));
}

std::string_view word(std::uint64_t seed, std::int32_t position) {
  return kSimWords[static_cast<std::size_t>(philox_unit(seed, static_cast<std::uint64_t>(position)) *
                                         kSimWords.size())];
}

/// One token of an answer that is known beforehand.
struct SimToken {
  std::string text;
  std::optional<ToolMark> mark = {};
};

/// What stands for the words: the call that the request demands, JSON of its format, or nothing of the kind.
std::vector<SimToken> script_of(const GenerateRequest& request, std::uint64_t seed) {
  std::vector<SimToken> script;
  const auto add_text = [&script](std::string_view text) {
    for (std::string& piece : sim_pieces(text)) script.push_back({std::move(piece), {}});
  };
  const ToolOffer& offer = request.offer;
  if (offer.choice.is_forced() && !offer.tools.empty()) {
    const auto named = std::ranges::find(offer.tools, offer.choice.name, &ToolSpec::name);
    const ToolSpec& tool = named != offer.tools.end() ? *named : offer.tools[seed % offer.tools.size()];
    script.push_back({{}, ToolMark::kCallsBegin});
    script.push_back({{}, ToolMark::kCallBegin});
    add_text(tool.name);
    script.push_back({{}, ToolMark::kSeparator});
    add_text(sim_json(tool.parameters, seed));
    script.push_back({{}, ToolMark::kCallEnd});
    script.push_back({{}, ToolMark::kCallsEnd});
  } else if (offer.format.kind == ResponseFormat::Kind::kJsonSchema) {
    add_text(sim_json(offer.format.schema, seed));
  } else if (offer.format.kind == ResponseFormat::Kind::kJsonObject) {
    add_text(sim_json_object(seed));
  }
  return script;
}

}  // namespace

struct SimEngine::Live {
  Live(SequenceHandle handle_in, std::vector<std::string> stops, AnswerStream::Start start,
       std::optional<ToolParser> tools)
      : handle(handle_in), answer(std::move(stops), start, std::move(tools)) {}

  SequenceHandle handle;
  std::uint64_t seed = 0;
  std::int32_t prompt_tokens = 0;
  std::int32_t prefill_left = 0;
  std::int32_t completion_max = 0;
  std::int32_t reasoning_tokens = 0;
  std::int32_t content_tokens = 0;
  std::vector<SimToken> script;  ///< in place of words
  AnswerStream answer;
  SequenceUsage usage;
  bool accepted = false;
  bool finished = false;
};

SimEngine::SimEngine(SimOptions options, const Clock& clock)
    : options_(options), clock_(&clock), next_step_(clock.mono()) {
  facts_ = {.engine = "sim",
            .architecture = "Simulated",
            .weights_digest = "sim:no-weights",
            .context_max = options.context_max,
            .sequences_max = options.sequences_max,
            .kv_tokens_capacity = std::int64_t{options.sequences_max} * options.context_max,
            .prefill_tokens_per_second = options.prefill_tokens_per_second,
            .abilities = {.penalties = true, .count = true}};
}

SimEngine::~SimEngine() = default;

Status SimEngine::submit(GenerateRequest request) {
  const auto same = [&](const auto& live) { return live->handle == request.handle; };
  if (std::ranges::any_of(live_, same)) {
    return fail(Code::kAlreadyExists, "handle_in_use", "a sequence with this handle is alive", "handle");
  }
  if (static_cast<std::int64_t>(live_.size()) >=
      std::int64_t{options_.sequences_max} + options_.waiting_max) {
    return fail(Code::kResourceExhausted, "engine_full",
                "every place in the batch and in its queue is taken");
  }
  if (request.messages.empty() && !request.raw) {
    return invalid("missing_field", "'messages' must not be empty", "messages");
  }
  if (request.constraint != nullptr) {
    return fail(Code::kUnimplemented, "constraint_unsupported",
                "the simulated engine says random words, and cannot hold to a format; use a model", "response_format");
  }
  if (request.sampling.logprobs || request.sampling.n != 1) {
    return invalid("unsupported_parameter",
                   "the simulated engine says random words: it has no log probabilities and one answer a request; use a model",
                   request.sampling.logprobs ? "logprobs" : "n");
  }
  if (!request.sampling.logit_bias.empty()) {
    return invalid("unsupported_parameter", "the simulated engine has no tokens to bias; use a model", "logit_bias");
  }
  if (request.sampling.max_tokens < 0)
    return invalid("out_of_range", "'max_tokens' must not be negative", "max_tokens");
  const auto start =
      request.skips_thinking() ? AnswerStream::Start::kContent : AnswerStream::Start::kReasoning;
  auto live = std::make_unique<Live>(request.handle, request.sampling.stop, start,
                                     request.parser(ToolSyntax::kDeepSeekPlain));
  live->prompt_tokens = live->prefill_left = prompt_tokens(request);
  const std::int32_t room = options_.context_max - live->prompt_tokens;
  if (room <= 0) {
    return invalid(
        "context_length_exceeded",
        fmt::format("the prompt takes {} tokens; this engine's context holds {} for prompt and answer",
                    live->prompt_tokens, options_.context_max),
        request.raw ? "prompt" : "messages");
  }
  live->completion_max =
      request.sampling.max_tokens == 0 ? room : std::min(request.sampling.max_tokens, room);
  live->seed = request.sampling.seed.value_or(request.handle);
  live->script = script_of(request, live->seed);
  live->content_tokens =
      live->script.empty() ? options_.content_tokens : static_cast<std::int32_t>(live->script.size());
  live->reasoning_tokens = live->answer.in_reasoning() ? options_.reasoning_tokens : 0;
  if (live->reasoning_tokens == 0) live->answer.on_think_end();
  // After an idle spell the pace starts anew: no burst for time in which nothing waited.
  if (live_.empty()) next_step_ = std::max(next_step_, clock_->mono());
  live_.push_back(std::move(live));
  return {};
}

bool SimEngine::due() const {
  return !live_.empty() && clock_->mono() >= next_step_;
}

std::optional<Mono> SimEngine::next_step_at() const {
  if (!cancels_.empty() || live_.empty()) return std::nullopt;
  return next_step_;
}

std::vector<SequenceEvent> SimEngine::step() {
  std::vector<SequenceEvent> events;
  for (const SequenceHandle handle : cancels_) {
    for (const auto& live : live_) {
      if (live->handle != handle || live->finished) continue;
      live->finished = true;
      events.push_back({.handle = handle, .usage = live->usage, .finish = FinishReason::kCancelled});
    }
  }
  cancels_.clear();
  std::erase_if(live_, [](const auto& live) { return live->finished; });
  if (!due()) return events;

  // One step per call even when late: a slow host slows the simulation down, as it would a real engine.
  next_step_ = std::max(next_step_ + options_.step_interval, clock_->mono());
  ++load_.steps_total;
  load_.step_seconds_last = std::chrono::duration<double>(options_.step_interval).count();
  const auto batch = std::min(live_.size(), static_cast<std::size_t>(options_.sequences_max));
  std::vector<Live*> decoding;
  for (std::size_t index = 0; index < batch; ++index) {
    if (live_[index]->accepted && live_[index]->prefill_left == 0) decoding.push_back(live_[index].get());
  }
  prefill(events);
  for (Live* live : decoding) decode(*live, events);
  load_.completion_tokens_total += static_cast<std::int64_t>(decoding.size());
  std::erase_if(live_, [](const auto& live) { return live->finished; });
  return events;
}

void SimEngine::prefill(std::vector<SequenceEvent>& events) {
  const double seconds = std::chrono::duration<double>(options_.step_interval).count();
  const double budget = prefill_carry_ + options_.prefill_tokens_per_second * seconds;
  auto left = static_cast<std::int64_t>(std::min(budget, 1e15));
  prefill_carry_ = std::clamp(budget - static_cast<double>(left), 0.0, 1.0);
  const auto batch = std::min(live_.size(), static_cast<std::size_t>(options_.sequences_max));
  for (std::size_t index = 0; index < batch; ++index) {
    Live& live = *live_[index];
    if (!live.accepted) {
      live.accepted = true;
      live.usage.prompt_tokens = live.prompt_tokens;
      load_.prompt_tokens_total += live.prompt_tokens;
      events.push_back({.handle = live.handle, .accepted = true, .usage = live.usage});
    }
    const auto taken = static_cast<std::int32_t>(std::min<std::int64_t>(left, live.prefill_left));
    live.prefill_left -= taken;
    left -= taken;
  }
}

// Same order of words, end of reasoning, content and end token for every sequence; see SimOptions.
void SimEngine::decode(Live& live, std::vector<SequenceEvent>& events) const {
  const std::int32_t position = live.usage.completion_tokens++;
  const std::int32_t content_end = live.reasoning_tokens + live.content_tokens;
  if (live.answer.in_reasoning()) ++live.usage.reasoning_tokens;
  SequenceEvent event{.handle = live.handle};
  const auto add = [&event](AnswerStream::Text text) {
    event.reasoning += text.reasoning;
    event.content += text.content;
    append_calls(event.tool_calls, std::move(text.calls));
  };
  if (position >= content_end) {
    event.finish = FinishReason::kStop;
    add(live.answer.finish());
  } else if (live.answer.in_reasoning() && position + 1 == live.reasoning_tokens) {
    add(live.answer.on_think_end());
  } else if (!live.answer.in_reasoning() && !live.script.empty()) {
    const SimToken& token = live.script[static_cast<std::size_t>(position - live.reasoning_tokens)];
    add(token.mark ? live.answer.on_mark(*token.mark) : live.answer.on_token(token.text));
  } else {
    const bool first = position == 0 || position == live.reasoning_tokens;
    add(live.answer.on_token(fmt::format("{}{}", first ? "" : " ", word(live.seed, position))));
  }
  if (live.answer.stopped()) {
    event.finish = FinishReason::kStop;
    event.stop_text = live.answer.stop_text();
  }
  if (!event.finish && live.usage.completion_tokens == live.completion_max) {
    event.finish = FinishReason::kLength;
    add(live.answer.finish());
  }
  if (event.finish == FinishReason::kStop && event.stop_text.empty() && live.answer.has_calls()) {
    event.finish = FinishReason::kToolCalls;
  }
  event.usage = live.usage;
  live.finished = event.finish.has_value();
  events.push_back(std::move(event));
}

Result<std::int32_t> SimEngine::count_prompt(const GenerateRequest& request) const { return prompt_tokens(request); }

EngineLoad SimEngine::load() const {
  EngineLoad load = load_;
  const auto batch = std::min(live_.size(), static_cast<std::size_t>(options_.sequences_max));
  load.sequences_running = static_cast<std::int32_t>(batch);
  load.sequences_waiting = static_cast<std::int32_t>(live_.size() - batch);
  for (std::size_t index = 0; index < batch; ++index) {
    const Live& live = *live_[index];
    load.kv_tokens_used += live.prompt_tokens - live.prefill_left + live.usage.completion_tokens;
    if (live.accepted) load.prompt_tokens_left += live.prefill_left;
  }
  return load;
}

}  // namespace tidegate::worker
