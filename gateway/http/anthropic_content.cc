#include "gateway/http/anthropic_content.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "gateway/http/request_fields.h"

namespace tidegate::gateway {
namespace {

/// Text blocks are joined by a line break, as other servers of these models do. What thinking blocks say is added to
/// `thinking`; null where none may stand.
Result<std::string> parse_blocks(const json::array& blocks, const std::string& path, std::string* thinking,
                                 std::int32_t& ignored) {
  if (blocks.empty()) return refuse_value(path, "must hold at least one block");
  std::string text;
  bool has_text = false;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::string here = fmt::format("{}[{}]", path, i);
    if (!blocks[i].is_object()) return refuse_type(here, "an object with 'type' and 'text'");
    const json::object& block = blocks[i].get_object();
    TG_ASSIGN(const std::string type, json::get_string(block, "type", here));
    if (thinking != nullptr && type == "thinking") {
      TG_ASSIGN(const auto thought, json::find_string(block, "thinking", here));
      *thinking += thought.value_or("");
      continue;
    }
    // Nobody but its maker can read it.
    if (thinking != nullptr && type == "redacted_thinking") continue;
    if (type != "text") return refuse_feature(here + ".type", "send blocks of type 'text' only");
    TG_ASSIGN(const std::string piece, json::get_string(block, "text", here));
    // cache_control and citations, mostly: the prefix cache is always on, and nothing is cited.
    for (const auto& member : block) ignored += member.key() == "type" || member.key() == "text" ? 0 : 1;
    if (std::exchange(has_text, true)) text += '\n';
    text += piece;
  }
  return text;
}

Result<std::string> parse_content(const json::value& content, const std::string& path, std::string* thinking,
                                  std::int32_t& ignored) {
  if (content.is_string()) return std::string(content.get_string());
  if (content.is_array()) return parse_blocks(content.get_array(), path, thinking, ignored);
  return refuse_type(path, "a string or an array of text blocks");
}

Result<Role> parse_turn_role(const json::object& message, const std::string& path) {
  TG_ASSIGN(const std::string name, json::get_string(message, "role", path));
  if (name == "user" || name == "assistant" || name == "system") return *parse_role(name);
  return refuse_value(path + ".role", "must be 'user' or 'assistant'; instructions belong into 'system'");
}

}  // namespace

Status parse_anthropic_system(const json::object& root, Plan& plan) {
  const json::value* system = root.if_contains("system");
  if (system == nullptr || system->is_null()) return {};
  // Clients that always send the field send it empty.
  if (system->is_array() && system->get_array().empty()) return {};
  TG_ASSIGN(std::string text, parse_content(*system, "system", nullptr, plan.fields_ignored));
  if (!text.empty()) plan.messages.push_back(PlanMessage{Role::kSystem, std::move(text)});
  return {};
}

Status parse_anthropic_turns(const json::value& value, Plan& plan) {
  if (!value.is_array()) return refuse_type("messages", "an array of messages");
  const json::array& turns = value.get_array();
  if (turns.empty()) return refuse_value("messages", "must hold at least one message");
  plan.messages.reserve(plan.messages.size() + turns.size());
  for (std::size_t i = 0; i < turns.size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    if (!turns[i].is_object()) return refuse_type(path, "an object with 'role' and 'content'");
    const json::object& turn = turns[i].get_object();
    PlanMessage message;
    TG_ASSIGN(message.role, parse_turn_role(turn, path));
    TG_ASSIGN(const json::value* content, json::member(turn, "content", path));
    std::string thinking;
    std::string* const thinking_place = message.role == Role::kAssistant ? &thinking : nullptr;
    TG_ASSIGN(message.content, parse_content(*content, path + ".content", thinking_place, plan.fields_ignored));
    for (const auto& member : turn) plan.fields_ignored += member.key() == "role" || member.key() == "content" ? 0 : 1;
    if (i + 1 == turns.size() && message.role == Role::kAssistant) {
      message.reasoning = std::move(thinking);
      message.begins_answer = true;
    }
    plan.messages.push_back(std::move(message));
  }
  return {};
}

}  // namespace tidegate::gateway
