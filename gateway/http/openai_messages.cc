#include "gateway/http/openai_messages.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/http/request_fields.h"

namespace tidegate::gateway {
namespace {

constexpr std::array<std::string_view, 1> kPartTypes = {"text"};

bool is_empty(const json::value& value) {
  return value.is_null() || (value.is_array() && value.get_array().empty());
}

Result<std::string> parse_content(const json::object& message, Role role, const std::string& path) {
  const std::string here = path + ".content";
  const json::value* content = message.if_contains("content");
  if (content == nullptr || content->is_null()) {
    if (role == Role::kAssistant) return std::string();
    return fail(Code::kInvalidArgument, "missing_field", fmt::format("'{}' is required.", here), here);
  }
  return parse_text(*content, here, kPartTypes);
}

Result<Role> parse_message_role(const json::object& message, const std::string& path) {
  TG_ASSIGN(const std::string name, json::get_string(message, "role", path));
  if (const auto role = parse_role(name)) return *role;
  const std::string here = path + ".role";
  if (name == "tool" || name == "function") {
    return refuse_feature(here, "tool messages are not served yet: use system, user and assistant");
  }
  return refuse_value(here, "must be one of system, developer, user, assistant");
}

/// Everything but role, content and prefix.
Status check_rest(const json::object& message, const std::string& path, std::int32_t& ignored) {
  for (const auto& member : message) {
    const std::string_view key = member.key();
    const std::string here = path + "." + std::string(key);
    if (key == "role" || key == "content" || key == "prefix") continue;
    if (key == "reasoning_content" || key == "reasoning" || key == "name" || key == "refusal") {
      // Earlier thinking is not part of the next prompt; the templates of these models drop it too. Only a message
      // that begins the answer keeps its own.
      if (!member.value().is_null() && !member.value().is_string()) return refuse_type(here, "a string");
    } else if (key == "tool_calls" || key == "function_call" || key == "audio" || key == "tool_call_id") {
      if (!is_empty(member.value())) return refuse_feature(here, "leave it out");
    } else {
      ++ignored;
    }
  }
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
    TG_TRY(check_rest(message, path, ignored));
    TG_ASSIGN(std::string content, parse_content(message, role, path));
    PlanMessage taken;
    taken.role = role;
    taken.content = std::move(content);
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
