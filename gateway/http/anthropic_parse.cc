#include "gateway/http/anthropic_parse.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>

#include "gateway/http/anthropic_content.h"
#include "gateway/http/tool_fields.h"

namespace tidegate::gateway {
namespace {

constexpr PlanNames kAnthropicNames = {
    .messages = "messages", .user = "metadata.user_id", .max_tokens = "max_tokens", .stop = "stop_sequences",
    .tools = {.parameters = "input_schema"}};

bool is_usual_speed(const json::value& value) { return is_word(value, {"standard"}); }
bool is_effort(const json::value& value) { return is_word(value, {"low", "medium", "high", "xhigh", "max"}); }
bool shows_thinking(const json::value& value) { return is_word(value, {"summarized"}); }

constexpr std::array kAnthropicFields = {
    FieldRule{"model"},
    FieldRule{"messages"},
    FieldRule{"system"},
    FieldRule{"max_tokens"},
    FieldRule{"stop_sequences"},
    FieldRule{"stream"},
    FieldRule{"temperature"},
    FieldRule{"top_p"},
    FieldRule{"top_k"},
    FieldRule{"seed"},
    FieldRule{"metadata"},
    FieldRule{"service_tier"},
    FieldRule{"thinking"},
    FieldRule{"output_config"},
    FieldRule{"cache_control", FieldUse::kIgnored},       // the prefix cache is always on
    FieldRule{"context_management", FieldUse::kIgnored},  // earlier thinking is never part of a prompt here
    FieldRule{"diagnostics", FieldUse::kIgnored},
    FieldRule{"tools"},
    FieldRule{"tool_choice"},
    FieldRule{"mcp_servers", FieldUse::kRefused},
    FieldRule{"container", FieldUse::kRefused},
    FieldRule{"inference_geo", FieldUse::kRefused},  // a promise about places is kept or refused, never dropped
    FieldRule{"speed", FieldUse::kRefused, is_usual_speed},
};

constexpr std::array kAnthropicThinkingFields = {
    FieldRule{"type"},
    FieldRule{"budget_tokens"},
    FieldRule{"display", FieldUse::kRefused, shows_thinking},
};

constexpr std::array kOutputFields = {
    FieldRule{"effort", FieldUse::kRefused, is_effort},  // a hint: every level is served alike
    FieldRule{"format", FieldUse::kRefused},
};

/// Thinking can be switched off, and has no budget of its own.
Status parse_anthropic_thinking(const json::object& root, Plan& plan) {
  TG_ASSIGN(const json::object* thinking, find_object(root, "thinking"));
  if (thinking == nullptr) return {};
  TG_TRY(check_members(*thinking, kAnthropicThinkingFields, "thinking", plan.fields_ignored));
  TG_ASSIGN(const std::string type, json::get_string(*thinking, "type", "thinking"));
  if (type != "enabled" && type != "adaptive" && type != "disabled") {
    return refuse_value("thinking.type", "must be 'enabled', 'adaptive' or 'disabled'");
  }
  plan.thinking = type != "disabled";
  TG_ASSIGN(const auto budget, json::find_int(*thinking, "budget_tokens", "thinking"));
  if (budget && *budget < 1) return refuse_value("thinking.budget_tokens", "must be at least 1");
  if (budget) ++plan.fields_ignored;
  return {};
}

/// Functions of the caller's own. Those that Anthropic runs itself (web_search and the like) have a type; nobody runs
/// them here.
Status parse_anthropic_tools(const json::object& root, Plan& plan) {
  TG_ASSIGN(const json::array* tools, find_tools(root, "tools"));
  if (tools == nullptr) return {};
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    const json::object& tool = (*tools)[i].get_object();
    TG_ASSIGN(const auto type, json::find_string(tool, "type", path));
    if (type && *type != "custom") return refuse_feature(path + ".type", "send tools of your own: leave 'type' out");
    TG_ASSIGN(PlanTool taken, parse_tool(tool, path, "input_schema", plan.fields_ignored));
    plan.tools.push_back(std::move(taken));
  }
  return {};
}

/// {"type":"auto"|"any"|"tool"|"none"}, with disable_parallel_tool_use.
Status parse_anthropic_choice(const json::object& root, Plan& plan) {
  TG_ASSIGN(const json::object* choice, find_object(root, "tool_choice"));
  if (choice == nullptr || choice->empty()) return {};
  TG_ASSIGN(const std::string type, json::get_string(*choice, "type", "tool_choice"));
  if (type == "any") {
    plan.tool_choice.mode = ToolMode::kRequired;
  } else if (type == "tool") {
    plan.tool_choice.mode = ToolMode::kFunction;
    TG_ASSIGN(plan.tool_choice.name, json::get_string(*choice, "name", "tool_choice"));
  } else if (type == "none") {
    plan.tool_choice.mode = ToolMode::kNone;
  } else if (type != "auto") {
    return refuse_value("tool_choice.type", "must be 'auto', 'any', 'tool' or 'none'");
  }
  TG_ASSIGN(const auto alone, json::find_bool(*choice, "disable_parallel_tool_use", "tool_choice"));
  if (alone) plan.parallel_tool_calls = !*alone;
  return {};
}

Status parse_metadata(const json::object& root, Plan& plan) {
  TG_ASSIGN(const json::object* metadata, find_object(root, "metadata"));
  if (metadata == nullptr) return {};
  TG_ASSIGN(auto user, json::find_string(*metadata, "user_id", "metadata"));
  plan.end_user = std::move(user).value_or("");
  for (const auto& member : *metadata) plan.fields_ignored += member.key() == "user_id" ? 0 : 1;
  return {};
}

/// "auto" is the best that the key may have, "standard_only" the usual tier.
Status parse_tier_choice(const json::object& root, Plan& plan) {
  TG_ASSIGN(const auto name, json::find_string(root, "service_tier"));
  if (!name) return {};
  if (*name != "auto" && *name != "standard_only") {
    return refuse_value("service_tier", "must be 'auto' or 'standard_only'");
  }
  plan.names_tier = true;
  plan.tier = *name == "auto" ? ServiceTier::kPriority : ServiceTier::kDefault;
  return {};
}

}  // namespace

std::span<const FieldRule> anthropic_fields() { return kAnthropicFields; }

Result<Plan> parse_anthropic_messages(std::string_view body) {
  TG_ASSIGN(Plan plan, parse_anthropic_count(body));
  if (plan.sampling.max_tokens > 0) return plan;
  return fail(Code::kInvalidArgument, "missing_field",
              "'max_tokens' is required: how many tokens the answer may have, its thinking included.", "max_tokens");
}

Result<Plan> parse_anthropic_count(std::string_view body) {
  TG_ASSIGN(const json::object root, parse_request_body(body));
  Plan plan;
  TG_TRY(check_members(root, kAnthropicFields, "", plan.fields_ignored));
  TG_ASSIGN(plan.model, json::get_string(root, "model"));
  TG_ASSIGN(plan.sampling.max_tokens, find_token_limit(root, "max_tokens"));
  TG_TRY(parse_anthropic_thinking(root, plan));
  TG_TRY(check_object(root, "output_config", kOutputFields, plan.fields_ignored));
  TG_TRY(parse_anthropic_system(root, plan));
  TG_ASSIGN(const json::value* messages, json::member(root, "messages"));
  TG_TRY(parse_anthropic_turns(*messages, plan));
  TG_TRY(parse_anthropic_tools(root, plan));
  TG_TRY(parse_anthropic_choice(root, plan));
  TG_TRY(parse_sampling(root, plan.sampling));
  TG_ASSIGN(plan.sampling.stop, find_strings(root, "stop_sequences"));
  TG_ASSIGN(const auto is_stream, json::find_bool(root, "stream"));
  plan.is_stream = is_stream.value_or(false);
  plan.include_usage = true;
  TG_TRY(parse_metadata(root, plan));
  TG_TRY(parse_tier_choice(root, plan));
  TG_TRY(check_plan(plan, "", kAnthropicNames));
  return plan;
}

}  // namespace tidegate::gateway
