#include "gateway/rpc/chat_codec.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "gateway/rpc/shared_fields.h"
#include "gateway/schema/json_schema.h"

namespace tidegate::gateway {
namespace {

constexpr std::size_t kEventBytesMax = 1 << 20;
constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kFailureBit = std::size_t{1} << 31;  // in a length: a failure, not an event

void decode_sampling(const v1::SamplingParams& from, PlanSampling& to) {
  if (from.has_temperature()) to.temperature = from.temperature();
  if (from.has_top_p()) to.top_p = from.top_p();
  if (from.has_top_k()) to.top_k = from.top_k();
  if (from.has_seed()) to.seed = from.seed();
  to.max_tokens = from.max_tokens();
  to.stop.assign(from.stop().begin(), from.stop().end());
  if (from.n() != 0) to.n = from.n();
  if (from.has_logprobs()) to.logprobs = from.logprobs();
  to.frequency_penalty = from.frequency_penalty();
  to.presence_penalty = from.presence_penalty();
  if (from.has_repetition_penalty()) to.repetition_penalty = from.repetition_penalty();
  for (const auto& [id, bias] : from.logit_bias()) to.logit_bias[id] = bias;
}

constexpr PlanNames kNames = {.tools = {.parameters = "parameters_json"}};

Status decode_tools(v1::ChatRequest& request, Plan& plan) {
  // Before any schema is read: each costs time.
  if (request.tools_size() > ToolLimits::kToolsMax) {
    return fail(Code::kInvalidArgument, "invalid_value",
                fmt::format("'tools' has {} tools; send at most {}.", request.tools_size(), ToolLimits::kToolsMax), "tools");
  }
  for (int i = 0; i < request.tools_size(); ++i) {
    v1::Tool& from = *request.mutable_tools(i);
    PlanTool tool;
    tool.name = std::move(*from.mutable_name());
    tool.description = std::move(*from.mutable_description());
    tool.strict = from.strict();
    TG_ASSIGN(tool.parameters,
              read_parameters_text(from.parameters_json(), fmt::format("tools[{}].parameters_json", i), tool.strict));
    plan.tools.push_back(std::move(tool));
  }
  switch (request.tool_choice().mode()) {
    case v1::ToolChoice::MODE_NONE: plan.tool_choice.mode = ToolMode::kNone; break;
    case v1::ToolChoice::MODE_REQUIRED: plan.tool_choice.mode = ToolMode::kRequired; break;
    case v1::ToolChoice::MODE_FUNCTION: plan.tool_choice.mode = ToolMode::kFunction; break;
    default: break;  // auto, or a number that this build does not know
  }
  plan.tool_choice.name = request.tool_choice().name();
  if (request.has_parallel_tool_calls()) plan.parallel_tool_calls = request.parallel_tool_calls();
  return {};
}

Status decode_format(const v1::ResponseFormat& from, PlanFormat& to) {
  to.name = from.name();
  to.strict = from.strict();
  if (from.kind() == v1::ResponseFormat::KIND_JSON_OBJECT) to.kind = FormatKind::kJsonObject;
  if (from.kind() != v1::ResponseFormat::KIND_JSON_SCHEMA) return {};
  to.kind = FormatKind::kJsonSchema;
  if (!to.name.empty() && !is_tool_name(to.name)) {
    return fail(Code::kInvalidArgument, "invalid_value",
                "'response_format.name' must be 1 to 64 characters, each a letter, a digit, '_' or '-'.",
                "response_format.name");
  }
  TG_ASSIGN(to.schema, read_schema_text(from.schema_json(), "response_format.schema_json", from.strict()));
  if (!to.schema.empty()) return {};
  return fail(Code::kInvalidArgument, "missing_field", "'response_format.schema_json' is required.",
              "response_format.schema_json");
}

void decode_calls(v1::ChatMessage& from, PlanMessage& to) {
  for (v1::ToolCall& call : *from.mutable_tool_calls()) {
    to.tool_calls.push_back(
        {std::move(*call.mutable_id()), std::move(*call.mutable_name()), std::move(*call.mutable_arguments())});
  }
  if (to.role == Role::kTool) to.tool_call_id = std::move(*from.mutable_tool_call_id());
}

void encode_logprob(TokenLogprob from, v1::TokenLogprob& to) {
  to.set_token(std::move(from.bytes));
  to.set_logprob(from.logprob);
  to.set_in_reasoning(from.in_reasoning);
  for (TokenLogprob::Alternative& other : from.top) {
    auto* alternative = to.add_top();
    alternative->set_token(std::move(other.bytes));
    alternative->set_logprob(other.logprob);
  }
}

/// Of one answer.
void merge_deltas(v1::ChatEvent::Delta& into, v1::ChatEvent::Delta& from) {
  *into.mutable_reasoning() += from.reasoning();
  *into.mutable_content() += from.content();
  auto& calls = *into.mutable_tool_calls();
  for (v1::ToolCallDelta& piece : *from.mutable_tool_calls()) {
    if (!calls.empty() && calls.rbegin()->index() == piece.index()) {
      *calls.rbegin()->mutable_arguments() += piece.arguments();
    } else {
      *calls.Add() = std::move(piece);
    }
  }
  for (v1::TokenLogprob& token : *from.mutable_logprobs()) *into.add_logprobs() = std::move(token);
  if (!from.finish_reason().empty()) into.set_finish_reason(from.finish_reason());
}

std::optional<Role> role_of(const std::string& name) { return name == "tool" ? Role::kTool : parse_role(name); }

void append_length(std::string& out, std::size_t size) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((size >> shift) & 0xff);
}

std::optional<Error> read_failure(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto code = static_cast<unsigned char>(text.front());
  const std::size_t first = text.find('\n', 1);
  const std::size_t second = first == std::string_view::npos ? first : text.find('\n', first + 1);
  if (code == 0 || code > static_cast<unsigned char>(Code::kUnauthenticated) || second == std::string_view::npos) {
    return std::nullopt;
  }
  return Error(static_cast<Code>(code), std::string(text.substr(1, first - 1)), std::string(text.substr(second + 1)),
               std::string(text.substr(first + 1, second - first - 1)));
}

}  // namespace

Result<Plan> decode_chat(v1::ChatRequest request) {
  Plan plan;
  plan.model = std::move(*request.mutable_model());
  plan.is_stream = true;
  plan.include_usage = true;
  plan.end_user = std::move(*request.mutable_user());
  plan.messages.reserve(static_cast<std::size_t>(request.messages_size()));
  for (int i = 0; i < request.messages_size(); ++i) {
    auto& message = *request.mutable_messages(i);
    const auto role = role_of(message.role());
    if (!role) {
      std::string field = fmt::format("messages[{}].role", i);
      std::string words = fmt::format("'{}' must be one of system, developer, user, assistant, tool.", field);
      return fail(Code::kInvalidArgument, "invalid_value", std::move(words), std::move(field));
    }
    PlanMessage& taken = plan.messages.emplace_back(PlanMessage{*role, std::move(*message.mutable_content())});
    decode_calls(message, taken);
    if (!message.prefix()) continue;
    taken.begins_answer = true;
    taken.reasoning = std::move(*message.mutable_reasoning());
  }
  if (request.has_thinking()) plan.thinking = request.thinking();
  decode_sampling(request.sampling(), plan.sampling);
  TG_TRY(decode_tier(request.service_tier(), plan));
  TG_TRY(decode_tools(request, plan));
  TG_TRY(decode_format(request.response_format(), plan.response_format));
  TG_TRY(check_plan(plan, "sampling", kNames));
  return plan;
}

v1::ChatEvent encode_accepted(const RequestId& request, const std::string& model, const std::string& variant,
                              const TokenUsage& usage) {
  v1::ChatEvent event;
  auto* accepted = event.mutable_accepted();
  accepted->set_request_id(request.to_string());
  accepted->set_model(serving_model(model, variant));
  accepted->set_prompt_tokens(static_cast<std::int32_t>(usage.prompt));
  return event;
}

v1::ChatEvent encode_delta(std::string reasoning, std::string content, ToolCallDeltas tool_calls) {
  AnswerPart part;
  part.reasoning = std::move(reasoning);
  part.content = std::move(content);
  part.tool_calls = std::move(tool_calls);
  return encode_part(std::move(part));
}

v1::ChatEvent encode_part(AnswerPart part) {
  v1::ChatEvent event;
  v1::ChatEvent::Delta& delta = *event.mutable_delta();
  delta.set_choice(part.choice);
  delta.set_reasoning(std::move(part.reasoning));
  delta.set_content(std::move(part.content));
  delta.set_finish_reason(std::move(part.finish_reason));
  for (ToolCallDelta& piece : part.tool_calls) {
    auto* to = delta.add_tool_calls();
    to->set_index(piece.index);
    to->set_id(std::move(piece.id));
    to->set_name(std::move(piece.name));
    to->set_arguments(std::move(piece.arguments));
  }
  for (TokenLogprob& token : part.logprobs) encode_logprob(std::move(token), *delta.add_logprobs());
  return event;
}

v1::ChatEvent encode_finished(const AnswerEnd& end, ServiceTier tier) {
  v1::ChatEvent event;
  auto* finished = event.mutable_finished();
  finished->set_finish_reason(end.finish_reasons.empty() ? end.finish_reason : end.finish_reasons.front());
  for (const std::string& reason : end.finish_reasons) finished->add_finish_reasons(reason);
  encode_usage(end.usage, *finished->mutable_usage());
  encode_cost(end.settlement, *finished->mutable_cost());
  finished->set_receipt(end.settlement.receipt);
  finished->set_service_tier(std::string(tier_name(tier)));
  return event;
}

bool merge_events(v1::ChatEvent& last, v1::ChatEvent& next) {
  if (!last.has_delta() || !next.has_delta()) return false;
  if (last.ByteSizeLong() + next.ByteSizeLong() > kEventBytesMax) return false;
  v1::ChatEvent::Delta& into = *last.mutable_delta();
  v1::ChatEvent::Delta& from = *next.mutable_delta();
  // Each answer's text is joined in its own order; the end of one stands behind its text in either.
  if (into.choice() == from.choice()) {
    merge_deltas(into, from);
    return true;
  }
  for (v1::ChatEvent::Delta& other : *into.mutable_more()) {
    if (other.choice() != from.choice()) continue;
    merge_deltas(other, from);
    return true;
  }
  *into.add_more() = std::move(from);
  return true;
}

void append_event(std::string& out, const v1::ChatEvent& event) {
  append_length(out, event.ByteSizeLong());
  event.AppendToString(&out);
}

/// The code as a byte, then reason, field and message, each on a line of its own but the last.
void append_failure(std::string& out, const Error& error) {
  std::string text(1, static_cast<char>(error.code));
  text += error.reason + '\n' + error.field + '\n' + error.message;
  append_length(out, text.size() | kFailureBit);
  out += text;
}

Result<KeptChat> read_kept(std::string_view bytes) {
  const auto bad = [] { return fail(unreadable_answer()); };
  KeptChat kept;
  while (!bytes.empty()) {
    if (bytes.size() < kLengthBytes || !kept.end) return bad();  // nothing comes after an end
    std::size_t size = 0;
    for (const char byte : bytes.substr(0, kLengthBytes)) size = (size << 8) | static_cast<unsigned char>(byte);
    const bool is_failure = (size & kFailureBit) != 0;
    size &= ~kFailureBit;
    bytes.remove_prefix(kLengthBytes);
    if (bytes.size() < size) return bad();
    const std::string_view one = bytes.substr(0, size);
    bytes.remove_prefix(size);
    if (is_failure) {
      auto error = read_failure(one);
      if (!error) return bad();
      kept.end = fail(*std::move(error));
    } else if (!kept.events.emplace_back().ParseFromArray(one.data(), static_cast<int>(one.size()))) {
      return bad();
    }
  }
  return kept;
}

Error public_error(const Refusal& refusal) {
  const ApiError wire = to_api_error(refusal);
  if (wire.http_status != 500) return refusal.error;
  return {Code::kInternal, wire.code, wire.message};
}

}  // namespace tidegate::gateway
