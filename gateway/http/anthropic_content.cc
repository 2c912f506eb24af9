#include "gateway/http/anthropic_content.h"

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json/json_dump.h"
#include "gateway/http/request_fields.h"

namespace tidegate::gateway {
namespace {

/// What the blocks of one turn say.
struct Turn {
  std::string text;  ///< text blocks, joined by a line break, as other servers of these models do
  bool has_text = false;
  std::string thinking;
  std::vector<ToolCall> calls;
  std::vector<PlanMessage> results;
};

void add_text(Turn& turn, std::string_view piece) {
  if (std::exchange(turn.has_text, true)) turn.text += '\n';
  turn.text += piece;
}

/// A string or text blocks. Members without effect are cache_control and citations, mostly: the prefix cache is always on,
/// and nothing is cited.
Result<std::string> parse_plain(const json::value& content, const std::string& path, std::int32_t& ignored) {
  if (content.is_string()) return std::string(content.get_string());
  if (!content.is_array()) return refuse_type(path, "a string or an array of text blocks");
  const json::array& blocks = content.get_array();
  if (blocks.empty()) return refuse_value(path, "must hold at least one block");
  Turn turn;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::string here = fmt::format("{}[{}]", path, i);
    if (!blocks[i].is_object()) return refuse_type(here, "an object with 'type' and 'text'");
    const json::object& block = blocks[i].get_object();
    TG_ASSIGN(const std::string type, json::get_string(block, "type", here));
    if (type != "text") return refuse_feature(here + ".type", "send blocks of type 'text' only");
    TG_ASSIGN(const std::string piece, json::get_string(block, "text", here));
    count_rest(block, {"text"}, ignored);
    add_text(turn, piece);
  }
  return std::move(turn.text);
}

Status parse_tool_use(const json::object& block, const std::string& path, Turn& turn, std::int32_t& ignored) {
  ToolCall call;
  TG_ASSIGN(call.id, json::get_string(block, "id", path));
  TG_ASSIGN(call.name, json::get_string(block, "name", path));
  const json::value* input = block.if_contains("input");
  if (input != nullptr && !input->is_null() && !input->is_object()) return refuse_type(path + ".input", "an object");
  const bool is_given = input != nullptr && input->is_object();
  call.arguments = is_given ? json::dump(*input) : std::string("{}");
  count_rest(block, {"id", "name", "input"}, ignored);
  turn.calls.push_back(std::move(call));
  return {};
}

Status parse_tool_result(const json::object& block, const std::string& path, Turn& turn, std::int32_t& ignored) {
  if (turn.has_text) {
    return refuse_value(path, "stands behind text; results come before anything else that the user says");
  }
  PlanMessage result;
  result.role = Role::kTool;
  TG_ASSIGN(result.tool_call_id, json::get_string(block, "tool_use_id", path));
  const json::value* content = block.if_contains("content");
  const bool is_empty = content == nullptr || content->is_null() || (content->is_array() && content->get_array().empty());
  if (!is_empty) {
    TG_ASSIGN(result.content, parse_plain(*content, path + ".content", ignored));
  }
  TG_ASSIGN(const auto is_error, json::find_bool(block, "is_error", path));
  // The text says what went wrong: templates have no other place for it.
  if (is_error.value_or(false)) ++ignored;
  count_rest(block, {"tool_use_id", "content", "is_error"}, ignored);
  turn.results.push_back(std::move(result));
  return {};
}

Status parse_block(const json::object& block, const std::string& path, Role role, Turn& turn, std::int32_t& ignored) {
  TG_ASSIGN(const std::string type, json::get_string(block, "type", path));
  if (type == "text") {
    TG_ASSIGN(const std::string piece, json::get_string(block, "text", path));
    count_rest(block, {"text"}, ignored);
    add_text(turn, piece);
    return {};
  }
  if (role == Role::kAssistant && type == "thinking") {
    TG_ASSIGN(const auto thought, json::find_string(block, "thinking", path));
    turn.thinking += thought.value_or("");
    return {};
  }
  // Nobody but its maker can read it.
  if (role == Role::kAssistant && type == "redacted_thinking") return {};
  if (role == Role::kAssistant && type == "tool_use") return parse_tool_use(block, path, turn, ignored);
  if (role == Role::kUser && type == "tool_result") return parse_tool_result(block, path, turn, ignored);
  switch (role) {
    case Role::kAssistant: return refuse_feature(path + ".type", "send blocks of type 'text', 'thinking' or 'tool_use' only");
    case Role::kUser: return refuse_feature(path + ".type", "send blocks of type 'text' or 'tool_result' only");
    case Role::kSystem:
    case Role::kTool: break;
  }
  return refuse_feature(path + ".type", "send blocks of type 'text' only");
}

Result<Turn> parse_turn(const json::value& content, const std::string& path, Role role, std::int32_t& ignored) {
  Turn turn;
  if (content.is_string()) {
    add_text(turn, std::string_view(content.get_string()));
    return turn;
  }
  if (!content.is_array()) return refuse_type(path, "a string or an array of blocks");
  const json::array& blocks = content.get_array();
  if (blocks.empty()) return refuse_value(path, "must hold at least one block");
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::string here = fmt::format("{}[{}]", path, i);
    if (!blocks[i].is_object()) return refuse_type(here, "an object with a 'type'");
    TG_TRY(parse_block(blocks[i].get_object(), here, role, turn, ignored));
  }
  return turn;
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
  TG_ASSIGN(std::string text, parse_plain(*system, "system", plan.fields_ignored));
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
    const json::object& from = turns[i].get_object();
    TG_ASSIGN(const Role role, parse_turn_role(from, path));
    TG_ASSIGN(const json::value* content, json::member(from, "content", path));
    TG_ASSIGN(Turn turn, parse_turn(*content, path + ".content", role, plan.fields_ignored));
    for (const auto& member : from) plan.fields_ignored += member.key() == "role" || member.key() == "content" ? 0 : 1;
    const bool is_only_results = !turn.results.empty() && !turn.has_text;
    for (PlanMessage& result : turn.results) plan.messages.push_back(std::move(result));
    if (is_only_results) continue;
    PlanMessage message;
    message.role = role;
    message.content = std::move(turn.text);
    message.tool_calls = std::move(turn.calls);
    if (i + 1 == turns.size() && role == Role::kAssistant && message.tool_calls.empty()) {
      message.reasoning = std::move(turn.thinking);
      message.begins_answer = true;
    }
    plan.messages.push_back(std::move(message));
  }
  return {};
}

}  // namespace tidegate::gateway
