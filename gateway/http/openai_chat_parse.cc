#include "gateway/http/openai_chat_parse.h"

#include <array>
#include <string>
#include <utility>

#include "gateway/http/openai_messages.h"
#include "gateway/http/openai_request.h"
#include "gateway/http/openai_tools.h"
#include "gateway/http/tool_fields.h"

namespace tidegate::gateway {
namespace {

constexpr PlanNames kChatNames = {.tools = {.member = ".function"}};
constexpr PlanNames kLegacyNames = {.tools = {.tools = "functions", .tool_choice = "function_call"}};

bool is_only_text(const json::value& value) {
  return value.is_array() && value.get_array().size() == 1 && is_word(value.get_array().front(), {"text"});
}

constexpr std::array kChatFields = {
    FieldRule{"model"},
    FieldRule{"messages"},
    FieldRule{"stream"},
    FieldRule{"stream_options"},
    FieldRule{"max_tokens"},
    FieldRule{"max_completion_tokens"},
    FieldRule{"temperature"},
    FieldRule{"top_p"},
    FieldRule{"top_k"},
    FieldRule{"stop"},
    FieldRule{"seed"},
    FieldRule{"presence_penalty"},
    FieldRule{"frequency_penalty"},
    FieldRule{"user"},
    FieldRule{"service_tier"},
    FieldRule{"user_id"},
    FieldRule{"safety_identifier"},
    FieldRule{"prompt_cache_key", FieldUse::kIgnored},  // the prefix cache is always on, and each tenant's own
    FieldRule{"prompt_cache_retention", FieldUse::kIgnored},
    FieldRule{"metadata", FieldUse::kIgnored},
    FieldRule{"store", FieldUse::kIgnored},  // nothing is ever stored
    FieldRule{"tools"},
    FieldRule{"tool_choice"},
    FieldRule{"parallel_tool_calls"},
    FieldRule{"functions"},
    FieldRule{"function_call"},
    FieldRule{"response_format"},
    FieldRule{"n"},
    FieldRule{"logprobs"},
    FieldRule{"top_logprobs"},
    FieldRule{"logit_bias"},
    FieldRule{"repetition_penalty"},
    FieldRule{"thinking"},
    FieldRule{"reasoning_effort"},
    FieldRule{"modalities", FieldUse::kRefused, is_only_text},
    FieldRule{"audio", FieldUse::kRefused},
    FieldRule{"prediction", FieldUse::kRefused},
    FieldRule{"web_search_options", FieldUse::kRefused},
    FieldRule{"verbosity", FieldUse::kRefused, is_usual_verbosity},
    FieldRule{"prompt_cache_options", FieldUse::kRefused},
    FieldRule{"moderation", FieldUse::kRefused},
};

constexpr std::array kChatThinkingFields = {FieldRule{"type"}};

/// DeepSeek's thinking.type says it outright, OpenAI's effort "none" says the same.
Status parse_chat_thinking(const json::object& root, Plan& plan) {
  TG_ASSIGN(const bool is_none, is_effort_none(root, "reasoning_effort"));
  if (is_none) plan.thinking = false;
  TG_ASSIGN(const json::object* thinking, find_object(root, "thinking"));
  if (thinking == nullptr || thinking->empty()) return {};
  TG_TRY(check_members(*thinking, kChatThinkingFields, "thinking", plan.fields_ignored));
  TG_ASSIGN(const std::string type, json::get_string(*thinking, "type", "thinking"));
  if (type != "enabled" && type != "disabled") return refuse_value("thinking.type", "must be 'enabled' or 'disabled'");
  if (is_none && type == "enabled") {
    return refuse_value("reasoning_effort", "is 'none' while 'thinking' is enabled: send one of the two");
  }
  plan.thinking = type == "enabled";
  return {};
}

}  // namespace

std::span<const FieldRule> openai_chat_fields() { return kChatFields; }

Result<Plan> parse_openai_chat(std::string_view body) {
  TG_ASSIGN(ChatRequest request, read_openai_chat(body));
  return std::move(request.plan);
}

Result<ChatRequest> read_openai_chat(std::string_view body) {
  TG_ASSIGN(const json::object root, parse_request_body(body));
  ChatRequest request;
  Plan& plan = request.plan;
  TG_TRY(check_members(root, kChatFields, "", plan.fields_ignored));
  TG_ASSIGN(plan.model, json::get_string(root, "model"));
  TG_ASSIGN(const json::value* messages, json::member(root, "messages"));
  TG_ASSIGN(plan.messages, parse_openai_messages(*messages, plan.fields_ignored));
  // The later name wins when both are there.
  TG_ASSIGN(const std::int32_t older, find_token_limit(root, "max_tokens"));
  TG_ASSIGN(const std::int32_t newer, find_token_limit(root, "max_completion_tokens"));
  plan.sampling.max_tokens = newer > 0 ? newer : older;
  TG_TRY(parse_sampling(root, plan.sampling));
  TG_TRY(parse_penalties(root, plan.sampling));
  TG_TRY(parse_choices(root, plan.sampling));
  TG_TRY(parse_chat_logprobs(root, plan.sampling));
  TG_TRY(parse_chat_thinking(root, plan));
  TG_ASSIGN(plan.sampling.stop, parse_stop(root));
  TG_TRY(parse_stream(root, plan));
  TG_TRY(parse_service_tier(root, plan));
  TG_ASSIGN(plan.end_user, parse_end_user(root));
  TG_ASSIGN(request.is_legacy, parse_openai_tools(root, plan));
  TG_TRY(check_plan(plan, "", request.is_legacy ? kLegacyNames : kChatNames));
  TG_TRY(check_json_asked(plan, "response_format"));
  return request;
}

}  // namespace tidegate::gateway
