#include "gateway/http/responses_parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/http/openai_request.h"
#include "gateway/http/responses_input.h"
#include "gateway/http/tool_fields.h"

namespace tidegate::gateway {
namespace {

constexpr PlanNames kResponsesNames = {.messages = "input", .user = "user", .max_tokens = "max_output_tokens",
                                       .stop = "stop", .tools = {.response_format = "text.format"}};

bool is_usual_truncation(const json::value& value) { return is_word(value, {"disabled"}); }
/// What may be included belongs to tools that nobody runs here, or is thinking kept sealed by the client:
/// ours comes in the open. Only log probabilities ask for something; they come with `top_logprobs` alone, too.
Status parse_included(const json::object& root, PlanSampling& sampling) {
  TG_ASSIGN(const auto included, find_strings(root, "include"));
  TG_ASSIGN(const auto top, json::find_int(root, "top_logprobs"));
  if (top && (*top < 0 || *top > PlanLimits::kLogprobsMax)) {
    return refuse_value("top_logprobs", fmt::format("must be between 0 and {}", PlanLimits::kLogprobsMax));
  }
  const bool is_asked = std::ranges::count(included, "message.output_text.logprobs") > 0;
  if (is_asked || top.value_or(0) > 0) sampling.logprobs = static_cast<std::int32_t>(top.value_or(0));
  return {};
}

/// Nothing is kept between requests: a client that thinks otherwise must hear of it now, not at its next request.
constexpr std::string_view kSendAll = "nothing is kept between requests: send the whole history in 'input'";

constexpr std::array kResponsesFields = {
    FieldRule{"model"},
    FieldRule{"input"},
    FieldRule{"instructions"},
    FieldRule{"max_output_tokens"},
    FieldRule{"stream"},
    FieldRule{"temperature"},
    FieldRule{"top_p"},
    FieldRule{"top_k"},
    FieldRule{"seed"},
    FieldRule{"user"},
    FieldRule{"service_tier"},
    FieldRule{"user_id"},
    FieldRule{"safety_identifier"},
    FieldRule{"reasoning"},
    FieldRule{"text"},
    FieldRule{"store"},
    FieldRule{"stream_options", FieldUse::kIgnored},  // obfuscation, which pads chunks: ours are not padded
    FieldRule{"metadata", FieldUse::kIgnored},
    FieldRule{"prompt_cache_key", FieldUse::kIgnored},
    FieldRule{"prompt_cache_retention", FieldUse::kIgnored},
    FieldRule{"tools"},
    FieldRule{"tool_choice"},
    FieldRule{"parallel_tool_calls"},
    FieldRule{"max_tool_calls", FieldUse::kIgnored},  // counts tools that a server runs by itself: none here
    FieldRule{"include"},
    FieldRule{"background", FieldUse::kRefused, is_false},
    FieldRule{"truncation", FieldUse::kRefused, is_usual_truncation},
    FieldRule{"top_logprobs"},
    FieldRule{"prompt", FieldUse::kRefused},
    FieldRule{"prompt_cache_options", FieldUse::kRefused},
    FieldRule{"context_management", FieldUse::kRefused},
    FieldRule{"moderation", FieldUse::kRefused},
    FieldRule{"previous_response_id", FieldUse::kRefused, nullptr, kSendAll},
    FieldRule{"conversation", FieldUse::kRefused, nullptr, kSendAll},
};

constexpr std::array kReasoningFields = {
    FieldRule{"effort"},
    FieldRule{"summary", FieldUse::kIgnored},  // thinking comes whole, not in a summary
    FieldRule{"generate_summary", FieldUse::kIgnored},
};

constexpr std::array kTextFields = {
    FieldRule{"format"},
    FieldRule{"verbosity", FieldUse::kRefused, is_usual_verbosity},
};

/// Tools that OpenAI's servers run, and forms that no template here can write: beside functions they are left out,
/// since clients that bring both (Codex) get on without them. Alone they are what the client came for, and are refused.
bool is_left_out(std::string_view type) {
  static constexpr std::array<std::string_view, 11> kTypes = {"apply_patch",
                                                              "code_interpreter",
                                                              "computer_use_preview",
                                                              "custom",
                                                              "file_search",
                                                              "image_generation",
                                                              "local_shell",
                                                              "mcp",
                                                              "namespace",
                                                              "shell",
                                                              "tool_search"};
  return type.starts_with("web_search") || std::ranges::find(kTypes, type) != kTypes.end();
}

/// The flat form: name and parameters beside the type.
Status parse_responses_tools(const json::object& root, Plan& plan) {
  TG_ASSIGN(const json::array* tools, find_tools(root, "tools"));
  if (tools == nullptr) return {};
  std::string left_out;
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    const json::object& tool = (*tools)[i].get_object();
    TG_ASSIGN(const std::string type, json::get_string(tool, "type", path));
    if (is_left_out(type)) {
      if (left_out.empty()) left_out = path + ".type";
      ++plan.fields_ignored;
      continue;
    }
    if (type != "function") return refuse_feature(path + ".type", "send tools of type 'function' only");
    TG_ASSIGN(PlanTool taken, parse_tool(tool, path, "parameters", plan.fields_ignored));
    plan.tools.push_back(std::move(taken));
  }
  if (plan.tools.empty() && !left_out.empty()) {
    return refuse_feature(left_out, "nobody runs such a tool here: send tools of type 'function'");
  }
  return {};
}

Status parse_responses_choice(const json::object& root, Plan& plan) {
  const json::value* choice = root.if_contains("tool_choice");
  if (choice == nullptr || choice->is_null() || is_word(*choice, {"auto"})) return {};
  if (is_word(*choice, {"none"})) {
    plan.tool_choice.mode = ToolMode::kNone;
  } else if (is_word(*choice, {"required"})) {
    plan.tool_choice.mode = ToolMode::kRequired;
  } else if (is_object_of_type(*choice, {"function"})) {
    plan.tool_choice.mode = ToolMode::kFunction;
    TG_ASSIGN(plan.tool_choice.name, json::get_string(choice->get_object(), "name", "tool_choice"));
  } else {
    return refuse_value("tool_choice", "must be 'auto', 'none', 'required' or {\"type\":\"function\",\"name\":...}");
  }
  return {};
}

Status parse_text_format(const json::object& root, Plan& plan) {
  TG_ASSIGN(const json::object* text, find_object(root, "text"));
  const json::value* format = text == nullptr ? nullptr : text->if_contains("format");
  if (format == nullptr || format->is_null()) return {};
  if (!format->is_object()) return refuse_type("text.format", "an object");
  if (format->get_object().empty()) return {};
  TG_ASSIGN(plan.response_format, parse_format(format->get_object(), "text.format", "", plan.fields_ignored));
  return {};
}

Status parse_reasoning(const json::object& root, Plan& plan) {
  TG_ASSIGN(const json::object* reasoning, find_object(root, "reasoning"));
  if (reasoning == nullptr) return {};
  TG_ASSIGN(const bool is_none, is_effort_none(*reasoning, "effort", "reasoning"));
  if (is_none) plan.thinking = false;
  return {};
}

}  // namespace

std::span<const FieldRule> responses_fields() { return kResponsesFields; }

Result<Plan> parse_responses(std::string_view body) {
  TG_ASSIGN(const json::object root, parse_request_body(body));
  Plan plan;
  TG_TRY(check_members(root, kResponsesFields, "", plan.fields_ignored));
  TG_TRY(check_object(root, "reasoning", kReasoningFields, plan.fields_ignored));
  TG_TRY(parse_reasoning(root, plan));
  TG_TRY(check_object(root, "text", kTextFields, plan.fields_ignored));
  TG_ASSIGN(const auto store, json::find_bool(root, "store"));
  if (store.value_or(false)) return refuse_feature("store", "nothing is kept: send false, or leave it out");
  TG_ASSIGN(plan.model, json::get_string(root, "model"));
  TG_ASSIGN(auto instructions, json::find_string(root, "instructions"));
  if (instructions && !instructions->empty()) {
    plan.messages.push_back(PlanMessage{Role::kSystem, *std::move(instructions)});
  }
  TG_ASSIGN(const json::value* input, json::member(root, "input"));
  TG_TRY(parse_responses_input(*input, plan));
  TG_TRY(parse_responses_tools(root, plan));
  TG_TRY(parse_responses_choice(root, plan));
  TG_ASSIGN(plan.parallel_tool_calls, json::find_bool(root, "parallel_tool_calls"));
  TG_TRY(parse_text_format(root, plan));
  TG_ASSIGN(plan.sampling.max_tokens, find_token_limit(root, "max_output_tokens"));
  TG_TRY(parse_sampling(root, plan.sampling));
  TG_TRY(parse_included(root, plan.sampling));
  TG_ASSIGN(const auto is_stream, json::find_bool(root, "stream"));
  plan.is_stream = is_stream.value_or(false);
  plan.include_usage = true;
  TG_TRY(parse_service_tier(root, plan));
  TG_ASSIGN(plan.end_user, parse_end_user(root));
  TG_TRY(check_plan(plan, "", kResponsesNames));
  TG_TRY(check_json_asked(plan, "text.format"));
  return plan;
}

}  // namespace tidegate::gateway
