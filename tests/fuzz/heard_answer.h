#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json/json.h"
#include "base/net/sse.h"
#include "tests/fuzz/input.h"

/// A client of every dialect, as strict as the strictest: what it understands of a stream.
namespace tidegate::fuzz {

enum class Kind : std::uint8_t { kChat, kCompletion, kAnthropic, kResponses };
inline constexpr std::size_t kBodyDepthMax = 64;  // arguments as deep as anything from outside stand deep in an answer

struct HeardCall {
  std::string id, name, arguments;
  bool operator==(const HeardCall&) const = default;
};

/// What a client has understood.
struct Heard {
  std::string reasoning, content;
  std::vector<HeardCall> calls;
  std::int64_t events = 0;
  bool has_ended = false, was_cut = false;
};

inline std::string string_of(const json::object& from, std::string_view key) {
  const json::value* value = from.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

inline const json::object* first_choice(const json::object& root) {
  const json::value* choices = root.if_contains("choices");
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return nullptr;
  return choices->get_array().front().if_object();
}

/// The old form has room for one call, and no id.
inline void hear_function_call(const json::object& delta, Heard& heard) {
  const json::value* call = delta.if_contains("function_call");
  if (call == nullptr) return;
  TG_CLAIM("a call is an object", call->is_object());
  if (call->get_object().contains("name")) {
    TG_CLAIM("the old form has one call", heard.calls.empty());
    heard.calls.push_back({"", string_of(call->get_object(), "name"), ""});
  }
  TG_CLAIM("a call begins before its arguments", !heard.calls.empty());
  heard.calls.back().arguments += string_of(call->get_object(), "arguments");
}

inline void hear_tool_calls(const json::object& delta, Heard& heard) {
  const json::value* calls = delta.if_contains("tool_calls");
  if (calls == nullptr) return;
  for (const json::value& call : calls->as_array()) {
    const json::object& object = call.as_object();
    const auto index = object.at("index").to_number<std::size_t>();
    TG_CLAIM("calls come in their order", index + 1 >= heard.calls.size() && index <= heard.calls.size());
    const json::object& function = object.at("function").as_object();
    if (index == heard.calls.size()) {
      TG_CLAIM("a call begins with its name", function.contains("name"));
      heard.calls.push_back({string_of(object, "id"), string_of(function, "name"), ""});
    }
    heard.calls.back().arguments += string_of(function, "arguments");
  }
}

inline void hear_openai(Kind kind, const json::object& root, Heard& heard) {
  if (root.contains("error")) heard.was_cut = true;
  const json::object* choice = first_choice(root);
  if (choice == nullptr) return;
  if (kind == Kind::kCompletion) {
    heard.content += string_of(*choice, "text");
    return;
  }
  const json::value* delta = choice->if_contains("delta");
  TG_CLAIM("a chunk has a delta", delta != nullptr && delta->is_object());
  heard.content += string_of(delta->get_object(), "content");
  heard.reasoning += string_of(delta->get_object(), "reasoning_content");
  hear_tool_calls(delta->get_object(), heard);
  hear_function_call(delta->get_object(), heard);
}

inline void hear_anthropic(const std::string& type, const json::object& root, Heard& heard) {
  if (type == "error") heard.was_cut = true;
  if (type == "message_stop") heard.has_ended = true;
  if (type == "content_block_start") {
    const json::object& block = root.at("content_block").as_object();
    if (string_of(block, "type") == "tool_use") {
      heard.calls.push_back({string_of(block, "id"), string_of(block, "name"), ""});
    }
  }
  if (type != "content_block_delta") return;
  const json::object& delta = root.at("delta").as_object();
  heard.content += string_of(delta, "text");
  heard.reasoning += string_of(delta, "thinking");
  if (string_of(delta, "type") != "input_json_delta") return;
  TG_CLAIM("arguments belong to a call", !heard.calls.empty());
  heard.calls.back().arguments += string_of(delta, "partial_json");
}

inline void hear_responses(const std::string& type, const json::object& root, Heard& heard) {
  TG_CLAIM("events are numbered", root.at("sequence_number").to_number<std::int64_t>() == heard.events - 1);
  if (type == "error") heard.was_cut = true;
  if (type == "response.completed" || type == "response.incomplete") heard.has_ended = true;
  if (type == "response.output_text.delta") heard.content += string_of(root, "delta");
  if (type == "response.reasoning_text.delta") heard.reasoning += string_of(root, "delta");
  if (type == "response.output_item.added") {
    const json::object& item = root.at("item").as_object();
    if (string_of(item, "type") == "function_call") {
      heard.calls.push_back({string_of(item, "call_id"), string_of(item, "name"), ""});
    }
  }
  if (type != "response.function_call_arguments.delta") return;
  TG_CLAIM("arguments belong to a call", !heard.calls.empty());
  heard.calls.back().arguments += string_of(root, "delta");
}

inline void hear(Kind kind, const sse::Parser::Event& event, Heard& heard) {
  TG_CLAIM("nothing follows the end", !heard.has_ended);
  ++heard.events;
  if (event.data == "[DONE]") {
    heard.has_ended = true;
    return;
  }
  const auto document = json::parse(event.data, kBodyDepthMax);
  TG_CLAIM("an event is JSON", document && document->is_object());
  const json::object& root = document->get_object();
  const bool is_openai = kind == Kind::kChat || kind == Kind::kCompletion;
  TG_CLAIM("an event has the name of its type", event.name == (is_openai ? "" : string_of(root, "type")));
  if (is_openai) {
    hear_openai(kind, root, heard);
  } else if (kind == Kind::kAnthropic) {
    hear_anthropic(event.name, root, heard);
  } else {
    hear_responses(event.name, root, heard);
  }
}

}  // namespace tidegate::fuzz
