#include "gateway/http/responses_input.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/http/request_fields.h"

namespace tidegate::gateway {
namespace {

constexpr std::array<std::string_view, 3> kPartTypes = {"input_text", "output_text", "text"};

/// What an item is; one without a type is a message.
Result<std::string> parse_kind(const json::object& item, const std::string& path) {
  TG_ASSIGN(auto kind, json::find_string(item, "type", path));
  return std::move(kind).value_or("message");
}

Status parse_message(const json::object& item, const std::string& path, Plan& plan) {
  TG_ASSIGN(const std::string name, json::get_string(item, "role", path));
  const auto role = parse_role(name);
  if (!role) return refuse_value(path + ".role", "must be one of system, developer, user, assistant");
  TG_ASSIGN(const json::value* content, json::member(item, "content", path));
  TG_ASSIGN(std::string text, parse_text(*content, path + ".content", kPartTypes));
  for (const auto& member : item) {
    const std::string_view key = member.key();
    // id and status come with items that a client sends back as it got them.
    const bool is_known = key == "type" || key == "role" || key == "content" || key == "id" || key == "status";
    plan.fields_ignored += is_known ? 0 : 1;
  }
  plan.messages.push_back(PlanMessage{*role, std::move(text)});
  return {};
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
    const json::object& item = items[i].get_object();
    TG_ASSIGN(const std::string kind, parse_kind(item, path));
    if (kind == "message") {
      TG_TRY(parse_message(item, path, plan));
    } else if (kind == "item_reference") {
      return refuse_feature(path + ".type", "nothing is kept between requests: send the item itself");
    } else if (kind != "reasoning") {
      return refuse_feature(path + ".type", "send items of type 'message' only");
    }
  }
  if (plan.messages.size() == before) return refuse_value("input", "must hold at least one message");
  return {};
}

}  // namespace tidegate::gateway
