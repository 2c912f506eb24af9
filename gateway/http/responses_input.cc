#include "gateway/http/responses_input.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/http/request_fields.h"

namespace tidegate::gateway {
namespace {

constexpr std::array<std::string_view, 3> kItemParts = {"input_text", "output_text", "text"};

/// What an item is; one without a type is a message.
Result<std::string> parse_kind(const json::object& item, const std::string& path) {
  TG_ASSIGN(auto kind, json::find_string(item, "type", path));
  return std::move(kind).value_or("message");
}

/// id and status come with items that a client sends back as it got them.
Status parse_message(const json::object& item, const std::string& path, Plan& plan) {
  TG_ASSIGN(const std::string name, json::get_string(item, "role", path));
  const auto role = parse_role(name);
  if (!role) return refuse_value(path + ".role", "must be one of system, developer, user, assistant");
  TG_ASSIGN(const json::value* content, json::member(item, "content", path));
  TG_ASSIGN(std::string text, parse_text(*content, path + ".content", kItemParts));
  count_rest(item, {"id", "status", "role", "content"}, plan.fields_ignored);
  plan.messages.push_back(PlanMessage{*role, std::move(text)});
  return {};
}

/// Calls of one answer are items of their own, behind its message if it has one: they are one message to a template.
Status parse_call(const json::object& item, const std::string& path, Plan& plan) {
  ToolCall call;
  TG_ASSIGN(call.id, json::get_string(item, "call_id", path));
  TG_ASSIGN(call.name, json::get_string(item, "name", path));
  TG_ASSIGN(call.arguments, json::get_string(item, "arguments", path));
  count_rest(item, {"id", "status", "call_id", "name", "arguments"}, plan.fields_ignored);
  if (plan.messages.empty() || plan.messages.back().role != Role::kAssistant) {
    plan.messages.push_back(PlanMessage{Role::kAssistant, {}});
  }
  plan.messages.back().tool_calls.push_back(std::move(call));
  return {};
}

Status parse_result(const json::object& item, const std::string& path, Plan& plan) {
  PlanMessage result;
  result.role = Role::kTool;
  TG_ASSIGN(result.tool_call_id, json::get_string(item, "call_id", path));
  TG_ASSIGN(const json::value* output, json::member(item, "output", path));
  TG_ASSIGN(result.content, parse_text(*output, path + ".output", kItemParts));
  count_rest(item, {"id", "status", "call_id", "output"}, plan.fields_ignored);
  plan.messages.push_back(std::move(result));
  return {};
}

Status parse_item(const json::object& item, const std::string& path, Plan& plan) {
  TG_ASSIGN(const std::string kind, parse_kind(item, path));
  if (kind == "message") return parse_message(item, path, plan);
  if (kind == "function_call") return parse_call(item, path, plan);
  if (kind == "function_call_output") return parse_result(item, path, plan);
  if (kind == "reasoning") return {};
  if (kind == "item_reference") {
    return refuse_feature(path + ".type", "nothing is kept between requests: send the item itself");
  }
  return refuse_feature(path + ".type", "send items of type 'message', 'function_call' or 'function_call_output' only");
}

}  // namespace

Status parse_responses_input(const json::value& value, Plan& plan) {
  if (value.is_string()) {
    plan.messages.push_back(PlanMessage{Role::kUser, std::string(value.get_string())});
    return {};
  }
  if (!value.is_array()) return refuse_type("input", "a string or an array of items");
  const json::array& items = value.get_array();
  const std::size_t before = plan.messages.size();
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string path = fmt::format("input[{}]", i);
    if (!items[i].is_object()) return refuse_type(path, "an object with 'role' and 'content'");
    TG_TRY(parse_item(items[i].get_object(), path, plan));
  }
  if (plan.messages.size() == before) return refuse_value("input", "must hold at least one message");
  return {};
}

}  // namespace tidegate::gateway
