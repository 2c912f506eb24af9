#include "gateway/http/responses_parse.h"

#include <array>
#include <string>
#include <utility>

#include "gateway/http/openai_request.h"
#include "gateway/http/responses_input.h"

namespace tidegate::gateway {
namespace {

constexpr PlanNames kNames = {.messages = "input", .user = "user", .max_tokens = "max_output_tokens", .stop = "stop"};

bool is_usual_truncation(const json::value& value) { return is_word(value, {"disabled"}); }
/// What may be included belongs to tools, which are refused by themselves, or is thinking kept sealed by the client:
/// ours comes in the open. Only log probabilities ask for something.
bool includes_nothing(const json::value& value) {
  if (!value.is_array()) return false;
  for (const json::value& item : value.get_array()) {
    if (!item.is_string() || is_word(item, {"message.output_text.logprobs"})) return false;
  }
  return true;
}

/// Nothing is kept between requests: a client that thinks otherwise must hear of it now, not at its next request.
constexpr std::string_view kSendAll = "nothing is kept between requests: send the whole history in 'input'";

constexpr std::array kFields = {
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
    FieldRule{"user_id"},
    FieldRule{"safety_identifier"},
    FieldRule{"reasoning"},
    FieldRule{"text"},
    FieldRule{"store"},
    FieldRule{"stream_options", FieldUse::kIgnored},  // obfuscation, which pads chunks: ours are not padded
    FieldRule{"metadata", FieldUse::kIgnored},
    FieldRule{"prompt_cache_key", FieldUse::kIgnored},
    FieldRule{"prompt_cache_retention", FieldUse::kIgnored},
    FieldRule{"parallel_tool_calls", FieldUse::kIgnored},  // steers tools, which are refused by themselves
    FieldRule{"max_tool_calls", FieldUse::kIgnored},       // as above
    FieldRule{"include", FieldUse::kRefused, includes_nothing},
    FieldRule{"background", FieldUse::kRefused, is_false},
    FieldRule{"tools", FieldUse::kRefused},
    FieldRule{"tool_choice", FieldUse::kRefused, leaves_choice_free},
    FieldRule{"truncation", FieldUse::kRefused, is_usual_truncation},
    FieldRule{"service_tier", FieldUse::kRefused, is_usual_tier},
    FieldRule{"top_logprobs", FieldUse::kRefused, is_zero, kNoLogprobs},
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
    FieldRule{"format", FieldUse::kRefused, is_plain_text},
    FieldRule{"verbosity", FieldUse::kRefused, is_usual_verbosity},
};

Status parse_reasoning(const json::object& root, Plan& plan) {
  TG_ASSIGN(const json::object* reasoning, find_object(root, "reasoning"));
  if (reasoning == nullptr) return {};
  TG_ASSIGN(const bool is_none, is_effort_none(*reasoning, "effort", "reasoning"));
  if (is_none) plan.thinking = false;
  return {};
}

}  // namespace

std::span<const FieldRule> responses_fields() { return kFields; }

Result<Plan> parse_responses(std::string_view body) {
  TG_ASSIGN(const json::object root, parse_request_body(body));
  Plan plan;
  TG_TRY(check_members(root, kFields, "", plan.fields_ignored));
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
  TG_ASSIGN(plan.sampling.max_tokens, find_token_limit(root, "max_output_tokens"));
  TG_TRY(parse_sampling(root, plan.sampling));
  TG_ASSIGN(const auto is_stream, json::find_bool(root, "stream"));
  plan.is_stream = is_stream.value_or(false);
  plan.include_usage = true;
  TG_ASSIGN(plan.end_user, parse_end_user(root));
  TG_TRY(check_plan(plan, "", kNames));
  return plan;
}

}  // namespace tidegate::gateway
