#include "gateway/http/openai_messages.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/core/encoding.h"
#include "gateway/http/request_fields.h"

namespace tidegate::gateway {
namespace {

constexpr std::array<std::string_view, 1> kTextParts = {"text"};

bool is_empty(const json::value& value) {
  return value.is_null() || (value.is_array() && value.get_array().empty());
}

/// Absent, null or an empty array is none.
const json::value* find_present(const json::object& message, std::string_view name) {
  const json::value* value = message.if_contains(name);
  return value == nullptr || is_empty(*value) ? nullptr : value;
}

Result<std::string> parse_message_content(const json::object& message, Role role, const std::string& path) {
  const std::string here = path + ".content";
  const json::value* content = message.if_contains("content");
  if (content == nullptr || content->is_null()) {
    if (role == Role::kAssistant) return std::string();
    return fail(Code::kInvalidArgument, "missing_field", fmt::format("'{}' is required.", here), here);
  }
  return parse_text(*content, here, kTextParts);
}

Result<Role> parse_message_role(const json::object& message, const std::string& path) {
  TG_ASSIGN(const std::string name, json::get_string(message, "role", path));
  if (const auto role = parse_role(name)) return *role;
  if (name == "tool" || name == "function") return Role::kTool;
  return refuse_value(path + ".role", "must be one of system, developer, user, assistant, tool");
}

/// Everything that no other function here reads.
Status check_rest(const json::object& message, Role role, const std::string& path, std::int32_t& ignored) {
  for (const auto& member : message) {
    const std::string_view key = member.key();
    const std::string here = path + "." + std::string(key);
    if (key == "role" || key == "content" || key == "prefix") continue;
    if (key == "reasoning_content" || key == "reasoning" || key == "name" || key == "refusal") {
      // Earlier thinking is not part of the next prompt; the templates of these models drop it too. Only a message
      // that begins the answer keeps its own.
      if (!member.value().is_null() && !member.value().is_string()) return refuse_type(here, "a string");
    } else if (key == "tool_calls" || key == "function_call") {
      if (role != Role::kAssistant && !is_empty(member.value())) {
        return refuse_value(here, "belongs to the assistant's messages; leave it out");
      }
    } else if (key == "tool_call_id") {
      if (role != Role::kTool && !is_empty(member.value())) {
        return refuse_value(here, "belongs to tool messages; leave it out");
      }
    } else if (key == "audio") {
      if (!is_empty(member.value())) return refuse_feature(here, "leave it out");
    } else {
      ++ignored;
    }
  }
  return {};
}

Result<ToolCall> parse_function(const json::object& function, const std::string& path) {
  ToolCall call;
  TG_ASSIGN(call.name, json::get_string(function, "name", path));
  TG_ASSIGN(auto arguments, json::find_string(function, "arguments", path));
  call.arguments = std::move(arguments).value_or("");
  return call;
}

Status parse_tool_calls(const json::value& value, const std::string& path, PlanMessage& message) {
  if (!value.is_array()) return refuse_type(path, "an array of calls");
  const json::array& calls = value.get_array();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    const std::string here = fmt::format("{}[{}]", path, i);
    if (!calls[i].is_object()) return refuse_type(here, "an object with 'id' and 'function'");
    const json::object& from = calls[i].get_object();
    TG_ASSIGN(const auto type, json::find_string(from, "type", here));
    if (type && *type != "function") return refuse_feature(here + ".type", "send calls of type 'function' only");
    TG_ASSIGN(const json::object* function, json::get_object(from, "function", here));
    TG_ASSIGN(ToolCall call, parse_function(*function, here + ".function"));
    TG_ASSIGN(call.id, json::get_string(from, "id", here));
    message.tool_calls.push_back(std::move(call));
  }
  return {};
}

/// Calls of the old form have no ids. The next function message of the same name answers; one is open at a time.
std::string legacy_id(std::string_view function) { return "function_" + std::string(utf8_prefix(function, 64)); }

/// What an assistant asked for and what a tool answered.
Status parse_calls(const json::object& from, const std::string& path, PlanMessage& message) {
  if (message.role == Role::kTool) {
    TG_ASSIGN(const std::string role, json::get_string(from, "role", path));
    if (role == "function") {
      TG_ASSIGN(const std::string name, json::get_string(from, "name", path));
      message.tool_call_id = legacy_id(name);
    } else {
      TG_ASSIGN(message.tool_call_id, json::get_string(from, "tool_call_id", path));
    }
    return {};
  }
  if (message.role != Role::kAssistant) return {};
  if (const json::value* calls = find_present(from, "tool_calls")) {
    TG_TRY(parse_tool_calls(*calls, path + ".tool_calls", message));
  }
  const json::value* legacy = find_present(from, "function_call");
  if (legacy == nullptr) return {};
  const std::string here = path + ".function_call";
  if (!message.tool_calls.empty()) return refuse_value(here, "says the same as 'tool_calls'; send one of the two");
  if (!legacy->is_object()) return refuse_type(here, "an object with 'name' and 'arguments'");
  TG_ASSIGN(ToolCall call, parse_function(legacy->get_object(), here));
  call.id = legacy_id(call.name);
  message.tool_calls.push_back(std::move(call));
  return {};
}

}  // namespace

Result<std::vector<PlanMessage>> parse_openai_messages(const json::value& value, std::int32_t& ignored) {
  if (!value.is_array()) return refuse_type("messages", "an array of messages");
  const json::array& array = value.get_array();
  std::vector<PlanMessage> messages;
  messages.reserve(array.size());
  for (std::size_t i = 0; i < array.size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    if (!array[i].is_object()) return refuse_type(path, "an object with 'role' and 'content'");
    const json::object& message = array[i].get_object();
    TG_ASSIGN(const Role role, parse_message_role(message, path));
    TG_TRY(check_rest(message, role, path, ignored));
    TG_ASSIGN(std::string content, parse_message_content(message, role, path));
    PlanMessage taken;
    taken.role = role;
    taken.content = std::move(content);
    TG_TRY(parse_calls(message, path, taken));
    TG_ASSIGN(const auto prefix, json::find_bool(message, "prefix", path));
    if (prefix.value_or(false)) {
      TG_ASSIGN(auto reasoning, json::find_string(message, "reasoning_content", path));
      taken.reasoning = std::move(reasoning).value_or("");
      taken.begins_answer = true;
    }
    messages.push_back(std::move(taken));
  }
  return messages;
}

}  // namespace tidegate::gateway
