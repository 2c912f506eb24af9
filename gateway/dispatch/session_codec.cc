#include "gateway/dispatch/session_codec.h"

#include <algorithm>
#include <array>
#include <utility>

namespace tidegate::gateway {
namespace {

/// What a worker may put into an error's code; anything else is unknown and reaches the client as internal.
Code code_of(std::string_view name) {
  constexpr std::array kCodes = {Code::kInvalidArgument,   Code::kDeadlineExceeded, Code::kNotFound,
                                 Code::kResourceExhausted, Code::kFailedPrecondition, Code::kOutOfRange,
                                 Code::kUnavailable,       Code::kCancelled,        Code::kInternal};
  for (const Code code : kCodes) {
    if (code_name(code) == name) return code;
  }
  return Code::kUnknown;
}

std::optional<SequenceEnd> end_of(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_STOP: return SequenceEnd::kStop;
    case v1::FINISH_REASON_LENGTH: return SequenceEnd::kLength;
    case v1::FINISH_REASON_TOOL_CALLS: return SequenceEnd::kToolCalls;
    case v1::FINISH_REASON_CANCELLED: return SequenceEnd::kCancelled;
    case v1::FINISH_REASON_ERROR: return SequenceEnd::kError;
    default: return std::nullopt;  // unspecified, or a number that this build does not know
  }
}

v1::ToolChoice::Mode mode_of(ToolMode mode) {
  switch (mode) {
    case ToolMode::kAuto: return v1::ToolChoice::MODE_AUTO;
    case ToolMode::kNone: return v1::ToolChoice::MODE_NONE;
    case ToolMode::kRequired: return v1::ToolChoice::MODE_REQUIRED;
    case ToolMode::kFunction: return v1::ToolChoice::MODE_FUNCTION;
  }
  return v1::ToolChoice::MODE_AUTO;
}

v1::ResponseFormat::Kind kind_of(FormatKind kind) {
  switch (kind) {
    case FormatKind::kText: return v1::ResponseFormat::KIND_TEXT;
    case FormatKind::kJsonObject: return v1::ResponseFormat::KIND_JSON_OBJECT;
    case FormatKind::kJsonSchema: return v1::ResponseFormat::KIND_JSON_SCHEMA;
  }
  return v1::ResponseFormat::KIND_TEXT;
}

/// What a plan says of tools and formats; nothing of it is set in a plan without them.
void encode_tools(const Plan& plan, v1::StartSequence& start) {
  for (const PlanTool& tool : plan.tools) {
    auto* out = start.add_tools();
    out->set_name(tool.name);
    out->set_description(tool.description);
    out->set_parameters_json(tool.parameters);
    out->set_strict(tool.strict);
  }
  if (plan.tool_choice.mode != ToolMode::kAuto) {
    start.mutable_tool_choice()->set_mode(mode_of(plan.tool_choice.mode));
    start.mutable_tool_choice()->set_name(plan.tool_choice.name);
  }
  if (plan.parallel_tool_calls) start.set_parallel_tool_calls(*plan.parallel_tool_calls);
  if (plan.response_format.kind == FormatKind::kText) return;
  auto* format = start.mutable_response_format();
  format->set_kind(kind_of(plan.response_format.kind));
  format->set_name(plan.response_format.name);
  format->set_schema_json(plan.response_format.schema);
  format->set_strict(plan.response_format.strict);
}

TokenLogprob decode_logprob(v1::TokenLogprob from) {
  TokenLogprob out;
  out.bytes = std::move(*from.mutable_token());
  out.logprob = from.logprob();
  out.in_reasoning = from.in_reasoning();
  for (v1::TokenLogprob::Alternative& other : *from.mutable_top()) {
    out.top.push_back({std::move(*other.mutable_token()), other.logprob()});
  }
  return out;
}

void encode_calls(const PlanMessage& message, v1::ChatMessage& out) {
  for (const ToolCall& call : message.tool_calls) {
    auto* to = out.add_tool_calls();
    to->set_id(call.id);
    to->set_name(call.name);
    to->set_arguments(call.arguments);
  }
  if (!message.tool_call_id.empty()) out.set_tool_call_id(message.tool_call_id);
}

void encode_prompt(const Plan& plan, v1::StartSequence& start) {
  for (const PlanEmbedInput& input : plan.embed) {
    v1::EmbedInput& to = *start.mutable_embed()->add_inputs();
    to.set_text(input.text);
    to.mutable_tokens()->Add(input.tokens.begin(), input.tokens.end());
  }
  for (const PlanMessage& message : plan.messages) {
    auto* out = start.add_messages();
    out->set_role(std::string(role_name(message.role)));
    out->set_content(message.content);
    encode_calls(message, *out);
    if (!message.begins_answer) continue;
    out->set_prefix(true);
    out->set_reasoning(message.reasoning);
  }
  if (plan.raw) {
    start.mutable_raw()->set_text(plan.raw->text);
    if (plan.raw->suffix) start.mutable_raw()->set_suffix(*plan.raw->suffix);
  }
  encode_tools(plan, start);
  if (plan.thinking) start.set_thinking(*plan.thinking);
}

}  // namespace

v1::StartSequence encode_count(std::uint64_t sequence, const Plan& plan) {
  v1::StartSequence start;
  start.set_sequence(sequence);
  encode_prompt(plan, start);
  return start;
}

v1::StartSequence encode_start(std::uint64_t sequence, const SequenceRequest& request, std::string_view cache_salt,
                               Duration budget) {
  const Plan& plan = *request.plan;
  v1::StartSequence start;
  start.set_sequence(sequence);
  start.set_request_id(std::string(request.request.raw()));
  start.set_cache_salt(std::string(cache_salt));
  start.set_collect(!plan.is_stream);
  encode_prompt(plan, start);
  auto* sampling = start.mutable_sampling();
  if (plan.sampling.temperature) sampling->set_temperature(*plan.sampling.temperature);
  if (plan.sampling.top_p) sampling->set_top_p(*plan.sampling.top_p);
  if (plan.sampling.top_k) sampling->set_top_k(*plan.sampling.top_k);
  if (plan.sampling.seed) sampling->set_seed(*plan.sampling.seed);
  sampling->set_max_tokens(request.max_tokens);
  for (const std::string& stop : plan.sampling.stop) sampling->add_stop(stop);
  if (plan.sampling.logprobs) sampling->set_logprobs(*plan.sampling.logprobs);
  if (plan.sampling.n > 1) sampling->set_n(plan.sampling.n);
  sampling->set_frequency_penalty(plan.sampling.frequency_penalty);
  sampling->set_presence_penalty(plan.sampling.presence_penalty);
  if (plan.sampling.repetition_penalty) sampling->set_repetition_penalty(*plan.sampling.repetition_penalty);
  for (const auto& [id, bias] : plan.sampling.logit_bias) (*sampling->mutable_logit_bias())[id] = bias;
  start.set_budget_ms(in_millis(budget));
  return start;
}

AbilitySet decode_abilities(const v1::WorkerHello& hello) {
  AbilitySet abilities;
  for (const int ability : hello.abilities()) {
    switch (ability) {
      case v1::ABILITY_CHOICES: abilities.add(Ability::kChoices); break;
      case v1::ABILITY_LOGPROBS: abilities.add(Ability::kLogprobs); break;
      case v1::ABILITY_PENALTIES: abilities.add(Ability::kPenalties); break;
      case v1::ABILITY_LOGIT_BIAS: abilities.add(Ability::kLogitBias); break;
      case v1::ABILITY_COUNT: abilities.add(Ability::kCount); break;
      case v1::ABILITY_EMBED: abilities.add(Ability::kEmbed); break;
      default: break;  // a number that this build does not know
    }
  }
  return abilities;
}

SequenceDelta decode_event(v1::SequenceEvent&& event) {
  SequenceDelta delta;
  delta.accepted = event.accepted();
  // mutable_ makes a string of a field that has none, and most tokens have one of the three.
  if (!event.reasoning().empty()) delta.reasoning = std::move(*event.mutable_reasoning());
  if (!event.content().empty()) delta.content = std::move(*event.mutable_content());
  for (v1::ToolCallDelta& piece : *event.mutable_tool_calls()) {
    delta.tool_calls.push_back({piece.index(), std::move(*piece.mutable_id()), std::move(*piece.mutable_name()),
                                std::move(*piece.mutable_arguments())});
  }
  delta.usage = {.prompt = event.usage().prompt_tokens(),
                 .cached = event.usage().cached_tokens(),
                 .completion = event.usage().completion_tokens(),
                 .reasoning = event.usage().reasoning_tokens(),
                 .drafted = std::max(event.usage().drafted_tokens(), 0),
                 .accepted = std::max(event.usage().accepted_tokens(), 0),
                 .device_us = std::max<std::int64_t>(event.usage().device_us(), 0)};
  for (v1::TokenLogprob& from : *event.mutable_logprobs()) delta.logprobs.push_back(decode_logprob(std::move(from)));
  delta.choice = event.choice();
  delta.choice_end = end_of(event.choice_finish());
  delta.embedding.assign(event.embedding().begin(), event.embedding().end());
  delta.end = end_of(event.finish());
  if (!event.stop_text().empty()) delta.stop_text = std::move(*event.mutable_stop_text());
  if (delta.end == SequenceEnd::kError) {
    delta.error = Error(code_of(event.error_code()), std::move(*event.mutable_error_reason()),
                        std::move(*event.mutable_error_message()), std::move(*event.mutable_error_field()));
  }
  return delta;
}

RouteSnapshot decode_routes(const v1::Routes& routes) {
  RouteSnapshot snapshot;
  snapshot.term = routes.term();
  snapshot.version = routes.version();
  snapshot.models.assign(routes.models().begin(), routes.models().end());
  for (const v1::Route& from : routes.routes()) {
    Route route;
    route.worker_id = from.worker_id();
    route.address = from.address();
    route.model = from.model();
    route.variant = from.variant();
    route.engine = from.engine();
    route.weights_digest = from.weights_digest();
    route.region = from.region();
    route.pool = from.pool();
    route.context_max = from.context_max();
    route.sequences_max = from.sequences_max();
    route.draining = from.draining();
    route.arm = from.arm();
    snapshot.routes.push_back(std::move(route));
  }
  for (const v1::Offer& from : routes.offers()) {
    ServingPool offer;
    offer.model = from.model();
    offer.region = from.region();
    offer.pool = from.pool();
    offer.context_max = from.context_max();
    snapshot.offers.push_back(std::move(offer));
  }
  for (const v1::TrafficShare& from : routes.shares()) {
    TrafficShare share;
    share.model = from.model();
    share.region = from.region();
    share.pool = from.pool();
    share.arm = from.arm();
    share.weight = from.weight();
    snapshot.shares.push_back(std::move(share));
  }
  return snapshot;
}

bool merge_frames(v1::GatewayFrame& last, v1::GatewayFrame& next) {
  if (last.ByteSizeLong() + next.ByteSizeLong() > kFrameBytesMax) return false;
  for (auto& start : *next.mutable_start()) *last.add_start() = std::move(start);
  for (const auto sequence : next.cancel()) last.add_cancel(sequence);
  for (auto& prompt : *next.mutable_count()) *last.add_count() = std::move(prompt);
  return true;
}

}  // namespace tidegate::gateway
