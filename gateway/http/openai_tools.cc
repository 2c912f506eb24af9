#include "gateway/http/openai_tools.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "gateway/http/request_fields.h"
#include "gateway/http/tool_fields.h"

namespace tidegate::gateway {
namespace {

Status parse_function_tools(const json::object& root, Plan& plan) {
  TG_ASSIGN(const json::array* tools, find_tools(root, "tools"));
  if (tools == nullptr) return {};
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    const json::object& tool = (*tools)[i].get_object();
    TG_ASSIGN(const std::string type, json::get_string(tool, "type", path));
    if (type != "function") return refuse_feature(path + ".type", "send tools of type 'function' only");
    TG_ASSIGN(const json::object* function, json::get_object(tool, "function", path));
    TG_ASSIGN(PlanTool taken, parse_tool(*function, path + ".function", "parameters", plan.fields_ignored));
    plan.tools.push_back(std::move(taken));
  }
  return {};
}

Status parse_functions(const json::object& root, Plan& plan) {
  TG_ASSIGN(const json::array* functions, find_tools(root, "functions"));
  if (functions == nullptr) return {};
  if (!plan.tools.empty()) return refuse_value("functions", "says the same as 'tools'; send one of the two");
  for (std::size_t i = 0; i < functions->size(); ++i) {
    const json::object& function = (*functions)[i].get_object();
    TG_ASSIGN(PlanTool taken,
              parse_tool(function, fmt::format("functions[{}]", i), "parameters", plan.fields_ignored));
    plan.tools.push_back(std::move(taken));
  }
  return {};
}

/// A word, or an object that names a function: in `function` of tool_choice, by itself in function_call.
Result<PlanToolChoice> parse_choice(const json::value& value, const std::string& field, bool is_legacy) {
  PlanToolChoice choice;
  if (value.is_null() || is_word(value, {"auto"})) return choice;
  if (is_word(value, {"none"})) {
    choice.mode = ToolMode::kNone;
    return choice;
  }
  if (!is_legacy && is_word(value, {"required"})) {
    choice.mode = ToolMode::kRequired;
    return choice;
  }
  if (!value.is_object()) {
    return refuse_value(field, is_legacy ? "must be 'auto', 'none' or an object with the function's 'name'"
                                         : "must be 'auto', 'none', 'required' or an object that names a function");
  }
  const json::object* from = &value.get_object();
  std::string here = field;
  if (!is_legacy) {
    TG_ASSIGN(const std::string type, json::get_string(*from, "type", field));
    if (type != "function") return refuse_feature(field + ".type", "send 'function', or one of the words");
    TG_ASSIGN(from, json::get_object(*from, "function", field));
    here += ".function";
  }
  choice.mode = ToolMode::kFunction;
  TG_ASSIGN(choice.name, json::get_string(*from, "name", here));
  return choice;
}

}  // namespace

Result<bool> parse_openai_tools(const json::object& root, Plan& plan) {
  TG_TRY(parse_function_tools(root, plan));
  const bool has_tools = !plan.tools.empty();
  TG_TRY(parse_functions(root, plan));
  const bool is_legacy = !has_tools && !plan.tools.empty();
  if (const json::value* choice = root.if_contains("tool_choice")) {
    TG_ASSIGN(plan.tool_choice, parse_choice(*choice, "tool_choice", false));
  }
  if (const json::value* choice = root.if_contains("function_call"); choice != nullptr && !choice->is_null()) {
    TG_ASSIGN(plan.tool_choice, parse_choice(*choice, "function_call", true));
  }
  TG_ASSIGN(plan.parallel_tool_calls, json::find_bool(root, "parallel_tool_calls"));
  // The old form of an answer has room for one call.
  if (is_legacy) plan.parallel_tool_calls = false;
  TG_ASSIGN(const json::object* format, find_object(root, "response_format"));
  if (format != nullptr && !format->empty()) {
    TG_ASSIGN(plan.response_format, parse_format(*format, "response_format", "json_schema", plan.fields_ignored));
  }
  return is_legacy;
}

}  // namespace tidegate::gateway
