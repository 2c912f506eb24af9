#include "gateway/http/openai_messages.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace tidegate::gateway {
namespace {

std::unexpected<Error> wrong_type(const std::string& field, std::string_view wanted) {
  return fail(Code::kInvalidArgument, "wrong_type", fmt::format("'{}' must be {}.", field, wanted), field);
}

std::unexpected<Error> unsupported(const std::string& field, std::string_view fix) {
  return fail(Code::kInvalidArgument, "unsupported_parameter", fmt::format("'{}' is not supported here; {}.", field, fix),
              field);
}

bool is_empty(const json::value& value) {
  return value.is_null() || (value.is_array() && value.get_array().empty());
}

/// Parts are joined by a line break, as other servers of these models do.
Result<std::string> parse_parts(const json::array& parts, const std::string& path) {
  if (parts.empty()) {
    return fail(Code::kInvalidArgument, "invalid_value", fmt::format("'{}' must hold at least one part.", path), path);
  }
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string here = fmt::format("{}[{}]", path, i);
    if (!parts[i].is_object()) return wrong_type(here, "an object with 'type' and 'text'");
    const json::object& part = parts[i].get_object();
    TG_ASSIGN(const std::string type, json::get_string(part, "type", here));
    if (type != "text") return unsupported(here + ".type", "send parts of type 'text' only");
    TG_ASSIGN(const std::string piece, json::get_string(part, "text", here));
    if (i > 0) text += '\n';
    text += piece;
  }
  return text;
}

Result<std::string> parse_content(const json::object& message, Role role, const std::string& path) {
  const std::string here = path + ".content";
  const json::value* content = message.if_contains("content");
  if (content == nullptr || content->is_null()) {
    if (role == Role::kAssistant) return std::string();
    return fail(Code::kInvalidArgument, "missing_field", fmt::format("'{}' is required.", here), here);
  }
  if (content->is_string()) return std::string(content->get_string());
  if (content->is_array()) return parse_parts(content->get_array(), here);
  return wrong_type(here, "a string or an array of text parts");
}

Result<Role> parse_message_role(const json::object& message, const std::string& path) {
  TG_ASSIGN(const std::string name, json::get_string(message, "role", path));
  if (const auto role = parse_role(name)) return *role;
  const std::string here = path + ".role";
  if (name == "tool" || name == "function") {
    return unsupported(here, "tool messages are not served yet: use system, user and assistant");
  }
  return fail(Code::kInvalidArgument, "invalid_value",
              fmt::format("'{}' must be one of system, developer, user, assistant.", here), here);
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
      if (!member.value().is_null() && !member.value().is_string()) return wrong_type(here, "a string");
    } else if (key == "tool_calls" || key == "function_call" || key == "audio" || key == "tool_call_id") {
      if (!is_empty(member.value())) return unsupported(here, "leave it out");
    } else {
      ++ignored;
    }
  }
  return {};
}

}  // namespace

Result<std::vector<PlanMessage>> parse_openai_messages(const json::value& value, std::int32_t& ignored) {
  if (!value.is_array()) return wrong_type("messages", "an array of messages");
  const json::array& array = value.get_array();
  std::vector<PlanMessage> messages;
  messages.reserve(array.size());
  for (std::size_t i = 0; i < array.size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    if (!array[i].is_object()) return wrong_type(path, "an object with 'role' and 'content'");
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
