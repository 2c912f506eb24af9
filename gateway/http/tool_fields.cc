#include "gateway/http/tool_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "gateway/http/request_fields.h"
#include "gateway/schema/json_schema.h"

namespace tidegate::gateway {
namespace {

bool speaks_of_json(std::string_view text) {
  constexpr std::string_view kWord = "json";
  const auto same = [](char in_text, char in_word) {
    return (in_text >= 'A' && in_text <= 'Z' ? static_cast<char>(in_text + 32) : in_text) == in_word;
  };
  return std::search(text.begin(), text.end(), kWord.begin(), kWord.end(), same) != text.end();
}

}  // namespace

Result<PlanTool> parse_tool(const json::object& tool, const std::string& path, std::string_view parameters,
                            std::int32_t& ignored) {
  PlanTool taken;
  TG_ASSIGN(taken.name, json::get_string(tool, "name", path));
  TG_ASSIGN(auto description, json::find_string(tool, "description", path));
  taken.description = std::move(description).value_or("");
  TG_ASSIGN(const auto strict, json::find_bool(tool, "strict", path));
  taken.strict = strict.value_or(false);
  const json::value* schema = tool.if_contains(parameters);
  if (schema != nullptr && !schema->is_null()) {
    TG_ASSIGN(taken.parameters, read_parameters(*schema, json::join_path(path, parameters), taken.strict));
  }
  for (const auto& member : tool) {
    const std::string_view key = member.key();
    const bool is_known = key == "name" || key == "description" || key == "strict" || key == "type" || key == parameters;
    ignored += is_known ? 0 : 1;  // cache_control mostly: the prefix cache is always on
  }
  return taken;
}

Result<const json::array*> find_tools(const json::object& root, std::string_view name) {
  const json::value* value = root.if_contains(name);
  if (value == nullptr || value->is_null()) return nullptr;
  if (!value->is_array()) return refuse_type(std::string(name), "an array of tools");
  const json::array& tools = value->get_array();
  if (tools.empty()) return nullptr;
  if (std::ssize(tools) > ToolLimits::kToolsMax) {
    return refuse_value(std::string(name), fmt::format("has {} tools; send at most {}", tools.size(), ToolLimits::kToolsMax));
  }
  for (std::size_t i = 0; i < tools.size(); ++i) {
    if (!tools[i].is_object()) return refuse_type(fmt::format("{}[{}]", name, i), "an object");
  }
  return &tools;
}

Result<PlanFormat> parse_format(const json::object& format, const std::string& path, std::string_view inner,
                                std::int32_t& ignored) {
  PlanFormat taken;
  TG_ASSIGN(const std::string type, json::get_string(format, "type", path));
  if (type == "text") return taken;
  if (type == "json_object") {
    taken.kind = FormatKind::kJsonObject;
    return taken;
  }
  if (type != "json_schema") {
    return refuse_feature(path + ".type", "send 'text', 'json_object' or 'json_schema'");
  }
  taken.kind = FormatKind::kJsonSchema;
  const json::object* from = &format;
  std::string here = path;
  if (!inner.empty()) {
    TG_ASSIGN(from, json::get_object(format, inner, path));
    here = json::join_path(path, inner);
  }
  TG_ASSIGN(auto name, json::find_string(*from, "name", here));
  taken.name = std::move(name).value_or("");
  if (!taken.name.empty() && !is_tool_name(taken.name)) {
    return refuse_value(here + ".name", "must be 1 to 64 characters, each a letter, a digit, '_' or '-'");
  }
  TG_ASSIGN(const auto strict, json::find_bool(*from, "strict", here));
  taken.strict = strict.value_or(false);
  TG_ASSIGN(const json::value* schema, json::member(*from, "schema", here));
  TG_ASSIGN(taken.schema, read_schema(*schema, here + ".schema", taken.strict));
  for (const auto& member : *from) {
    const std::string_view key = member.key();
    const bool is_known =
        key == "type" || key == "name" || key == "strict" || key == "schema" || key == "description" || key == inner;
    ignored += is_known ? 0 : 1;
  }
  return taken;
}

Status check_json_asked(const Plan& plan, std::string_view format_field) {
  if (plan.response_format.kind != FormatKind::kJsonObject) return {};
  const auto asks = [](const PlanMessage& message) { return speaks_of_json(message.content); };
  if (std::ranges::any_of(plan.messages, asks)) return {};
  return refuse_value(std::string(format_field),
                      "of type 'json_object' needs the word \"json\" in some message: say in words what JSON you want");
}

}  // namespace tidegate::gateway
