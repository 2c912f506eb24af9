#include "gateway/http/openai_chat_parse.h"

#include <array>
#include <string>
#include <utility>

#include "gateway/http/openai_messages.h"
#include "gateway/http/openai_request.h"

namespace tidegate::gateway {
namespace {

bool shows_thinking(const json::value& value) { return is_object_of_type(value, {"enabled"}); }
bool is_only_text(const json::value& value) {
  return value.is_array() && value.get_array().size() == 1 && is_word(value.get_array().front(), {"text"});
}

constexpr std::array kFields = {
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
    FieldRule{"user_id"},
    FieldRule{"safety_identifier"},
    FieldRule{"prompt_cache_key", FieldUse::kIgnored},  // the prefix cache is always on, and each tenant's own
    FieldRule{"prompt_cache_retention", FieldUse::kIgnored},
    FieldRule{"metadata", FieldUse::kIgnored},
    FieldRule{"store", FieldUse::kIgnored},                // nothing is ever stored
    FieldRule{"parallel_tool_calls", FieldUse::kIgnored},  // steers tools, which are refused by themselves
    FieldRule{"tools", FieldUse::kRefused},
    FieldRule{"tool_choice", FieldUse::kRefused, leaves_choice_free},
    FieldRule{"functions", FieldUse::kRefused},
    FieldRule{"function_call", FieldUse::kRefused, leaves_choice_free},
    FieldRule{"response_format", FieldUse::kRefused, is_plain_text},
    FieldRule{"n", FieldUse::kRefused, is_one},
    FieldRule{"logprobs", FieldUse::kRefused, is_false},
    FieldRule{"top_logprobs", FieldUse::kRefused, is_zero},
    FieldRule{"logit_bias", FieldUse::kRefused},
    FieldRule{"thinking", FieldUse::kRefused, shows_thinking},
    FieldRule{"reasoning_effort", FieldUse::kRefused, is_known_effort},
    FieldRule{"service_tier", FieldUse::kRefused, is_usual_tier},
    FieldRule{"modalities", FieldUse::kRefused, is_only_text},
    FieldRule{"audio", FieldUse::kRefused},
    FieldRule{"prediction", FieldUse::kRefused},
    FieldRule{"web_search_options", FieldUse::kRefused},
    FieldRule{"verbosity", FieldUse::kRefused, is_usual_verbosity},
    FieldRule{"prompt_cache_options", FieldUse::kRefused},
    FieldRule{"moderation", FieldUse::kRefused},
};

}  // namespace

std::span<const FieldRule> openai_chat_fields() { return kFields; }

Result<Plan> parse_openai_chat(std::string_view body) {
  TG_ASSIGN(const json::object root, parse_request_body(body));
  Plan plan;
  TG_TRY(check_members(root, kFields, "", plan.fields_ignored));
  TG_ASSIGN(plan.model, json::get_string(root, "model"));
  TG_ASSIGN(const json::value* messages, json::member(root, "messages"));
  TG_ASSIGN(plan.messages, parse_openai_messages(*messages, plan.fields_ignored));
  // The later name wins when both are there.
  TG_ASSIGN(const std::int32_t older, find_token_limit(root, "max_tokens"));
  TG_ASSIGN(const std::int32_t newer, find_token_limit(root, "max_completion_tokens"));
  plan.sampling.max_tokens = newer > 0 ? newer : older;
  TG_TRY(parse_sampling(root, plan.sampling));
  TG_TRY(check_penalties(root, plan.fields_ignored));
  TG_ASSIGN(plan.sampling.stop, parse_stop(root));
  TG_TRY(parse_stream(root, plan));
  TG_ASSIGN(plan.end_user, parse_end_user(root));
  TG_TRY(check_plan(plan, ""));
  return plan;
}

}  // namespace tidegate::gateway
