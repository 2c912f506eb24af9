#include "worker/external/request_body.h"

#include <fmt/format.h>

#include <limits>
#include <string_view>
#include <utility>

#include "base/core/encoding.h"
#include "base/json/json.h"
#include "base/json/json_dump.h"

namespace tidegate::worker::external {
namespace {

std::string_view role_name(Role role) {
  switch (role) {
    case Role::kSystem: return "system";
    case Role::kUser: return "user";
    case Role::kAssistant: return "assistant";
    case Role::kTool: return "tool";
  }
  return "user";
}

std::unexpected<Error> not_here(std::string what, std::string field) {
  return invalid("unsupported_parameter", fmt::format("the engine behind this model {}; leave '{}' away", what, field),
                 field);
}

json::value text_value(std::string_view text) { return json::value(json::string(text)); }

json::object message_object(const ChatMessage& message) {
  json::object to;
  to["role"] = text_value(role_name(message.role));
  if (message.tool_calls.empty()) {
    to["content"] = text_value(message.content);
  } else {
    to["content"] = message.content.empty() ? json::value(nullptr) : text_value(message.content);
    json::array calls;
    for (const ToolCall& call : message.tool_calls) {
      json::object function;
      function["name"] = text_value(call.name);
      function["arguments"] = text_value(call.arguments);
      json::object one;
      one["id"] = text_value(call.id);
      one["type"] = text_value("function");
      one["function"] = std::move(function);
      calls.push_back(std::move(one));
    }
    to["tool_calls"] = std::move(calls);
  }
  if (message.role == Role::kTool) to["tool_call_id"] = text_value(message.tool_call_id);
  return to;
}

Result<json::value> schema_value(const std::string& text, std::string_view field) {
  if (text.empty()) return json::value(json::object());
  auto schema = json::parse(text);
  if (!schema) return invalid("bad_schema", fmt::format("'{}' is not JSON", field), std::string(field));
  return schema;
}

Status write_tools(const ToolOffer& offer, json::object& body) {
  if (offer.open().empty()) return {};
  json::array tools;
  for (const ToolSpec& tool : offer.open()) {
    json::object function;
    function["name"] = text_value(tool.name);
    function["description"] = text_value(tool.description);
    TG_ASSIGN(json::value parameters, schema_value(tool.parameters, "tools"));
    function["parameters"] = std::move(parameters);
    if (tool.strict) function["strict"] = true;
    json::object one;
    one["type"] = text_value("function");
    one["function"] = std::move(function);
    tools.push_back(std::move(one));
  }
  body["tools"] = std::move(tools);
  switch (offer.choice.mode) {
    case ToolChoice::Mode::kAuto:
    case ToolChoice::Mode::kNone: break;  // none: there are no open tools
    case ToolChoice::Mode::kRequired: body["tool_choice"] = text_value("required"); break;
    case ToolChoice::Mode::kFunction: {
      json::object function;
      function["name"] = text_value(offer.choice.name);
      json::object choice;
      choice["type"] = text_value("function");
      choice["function"] = std::move(function);
      body["tool_choice"] = std::move(choice);
      break;
    }
  }
  if (!offer.is_parallel) body["parallel_tool_calls"] = false;
  return {};
}

Status write_format(const ResponseFormat& format, json::object& body) {
  if (format.kind == ResponseFormat::Kind::kText) return {};
  json::object to;
  if (format.kind == ResponseFormat::Kind::kJsonObject) {
    to["type"] = text_value("json_object");
  } else {
    json::object schema;
    schema["name"] = text_value("answer");
    TG_ASSIGN(json::value document, schema_value(format.schema, "response_format"));
    schema["schema"] = std::move(document);
    schema["strict"] = format.strict;
    to["type"] = text_value("json_schema");
    to["json_schema"] = std::move(schema);
  }
  body["response_format"] = std::move(to);
  return {};
}

void write_sampling(const SamplingParams& sampling, EngineKind kind, json::object& body) {
  if (sampling.temperature) body["temperature"] = *sampling.temperature;
  if (sampling.top_p) body["top_p"] = *sampling.top_p;
  if (sampling.top_k && *sampling.top_k > 0) body["top_k"] = *sampling.top_k;
  // Servers read a signed number.
  constexpr std::uint64_t kSeedMask = std::numeric_limits<std::int64_t>::max();
  if (sampling.seed) body["seed"] = static_cast<std::int64_t>(*sampling.seed & kSeedMask);
  if (sampling.frequency_penalty != 0) body["frequency_penalty"] = sampling.frequency_penalty;
  if (sampling.presence_penalty != 0) body["presence_penalty"] = sampling.presence_penalty;
  if (sampling.repetition_penalty != 1) {
    body[kind == EngineKind::kLlamaCpp ? "repeat_penalty" : "repetition_penalty"] = sampling.repetition_penalty;
  }
  if (!sampling.stop.empty()) {
    json::array stops;
    for (const std::string& stop : sampling.stop) stops.push_back(text_value(stop));
    body["stop"] = std::move(stops);
  }
  if (!sampling.logit_bias.empty()) {
    json::object biases;
    for (const auto& [token, bias] : sampling.logit_bias) biases[std::to_string(token)] = bias;
    body["logit_bias"] = std::move(biases);
  }
}

/// Tenants never share what is computed of a prompt: their prefix caches are kept apart by the salt that gateways derive. Who
/// has none shares with nobody.
void write_salt(const GenerateRequest& request, EngineKind kind, json::object& body) {
  if (kind != EngineKind::kVllm && kind != EngineKind::kSglang) return;
  std::string salt = request.call_id_suffix();
  if (request.cache_salt) {
    salt = hex_encode(std::string_view(reinterpret_cast<const char*>(request.cache_salt->data()), request.cache_salt->size()));
  }
  body["cache_salt"] = text_value(salt);
}

/// What only some servers know: to go on with an answer that has begun, and not to think.
void write_opening(const GenerateRequest& request, EngineKind kind, json::object& body) {
  const ChatMessage* opening = opening_of(request.messages);
  if (opening == nullptr || kind == EngineKind::kOpenAi) return;
  if (opening->ends_thinking) {
    json::object arguments;
    arguments["thinking"] = false;
    arguments["enable_thinking"] = false;
    body["chat_template_kwargs"] = std::move(arguments);
  }
  const bool continues = !opening->content.empty();
  if (continues && (kind == EngineKind::kVllm || kind == EngineKind::kSglang)) {
    body["continue_final_message"] = true;
    body["add_generation_prompt"] = false;
  }
}

}  // namespace

Status check_request(const GenerateRequest& request, EngineKind kind) {
  if (!request.embed.empty()) return not_here("is asked for answers only", "input");
  if (request.messages.empty() && !request.raw) return invalid("missing_field", "'messages' must not be empty", "messages");
  const SamplingParams& sampling = request.sampling;
  if (sampling.max_tokens < 0) return invalid("out_of_range", "'max_tokens' must not be negative", "max_tokens");
  if (sampling.n != 1) return not_here("gives one answer a request", "n");
  if (sampling.logprobs) return not_here("is not asked for log probabilities", "logprobs");
  if (request.constraint != nullptr) return not_here("keeps to formats by its own rules", "response_format");
  const bool is_plain = kind == EngineKind::kOpenAi;
  if (is_plain && sampling.top_k && *sampling.top_k > 0) return not_here("has no top_k", "top_k");
  if (is_plain && sampling.repetition_penalty != 1) return not_here("has no repetition penalty", "repetition_penalty");
  const ChatMessage* opening = opening_of(request.messages);
  if (opening == nullptr) return {};
  if (is_plain && opening->ends_thinking) return not_here("cannot be told not to think", "thinking");
  if (!opening->reasoning.empty()) return not_here("cannot go on with thinking that has begun", "reasoning_content");
  if (!opening->content.empty() && (is_plain || kind == EngineKind::kTensorrt)) {
    return not_here("cannot go on with an answer that has begun", "prefix");
  }
  return {};
}

Result<std::string> request_body(const GenerateRequest& request, const BodyStyle& style, std::int32_t max_tokens) {
  json::object body;
  body["model"] = text_value(style.model);
  if (request.raw) {
    body["prompt"] = text_value(request.raw->text);
    if (request.raw->suffix) body["suffix"] = text_value(*request.raw->suffix);
  } else {
    json::array messages;
    for (const ChatMessage& message : request.messages) {
      // One that only says "do not think" is an option of theirs, not a message.
      if (message.begins_answer && message.content.empty()) continue;
      messages.push_back(message_object(message));
    }
    body["messages"] = std::move(messages);
    TG_TRY(write_tools(request.offer, body));
    TG_TRY(write_format(request.offer.format, body));
    write_opening(request, style.kind, body);
  }
  write_sampling(request.sampling, style.kind, body);
  write_salt(request, style.kind, body);
  body["max_tokens"] = max_tokens;
  body["stream"] = true;
  json::object stream;
  stream["include_usage"] = true;
  if (style.continuous_usage) stream["continuous_usage_stats"] = true;
  body["stream_options"] = std::move(stream);
  return json::dump(body);
}

}  // namespace tidegate::worker::external
