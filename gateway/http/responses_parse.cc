#include "gateway/http/responses_parse.h"

#include <array>
#include <string>
#include <utility>

#include "gateway/http/request_fields.h"
#include "gateway/http/responses_input.h"

namespace tidegate::gateway {
namespace {

constexpr PlanNames kNames = {.messages = "input", .user = "user", .max_tokens = "max_output_tokens", .stop = "stop"};

bool is_false(const json::value& value) { return value.is_bool() && !value.get_bool(); }
bool is_zero(const json::value& value) { return value.is_int64() && value.get_int64() == 0; }
bool leaves_choice_free(const json::value& value) { return is_word(value, {"none", "auto"}); }
bool is_usual_tier(const json::value& value) { return is_word(value, {"auto", "default"}); }
bool is_usual_truncation(const json::value& value) { return is_word(value, {"disabled"}); }
bool is_usual_verbosity(const json::value& value) { return is_word(value, {"medium"}); }
bool is_plain_text(const json::value& value) { return is_object_of_type(value, {"text"}); }
/// Every level but "none" is a hint; thinking itself cannot be switched off.
bool is_effort(const json::value& value) {
  return is_word(value, {"minimal", "low", "medium", "high", "xhigh", "max"});
}
/// What may be included belongs to tools, which are refused by themselves, or is thinking kept sealed by the client:
/// ours comes in the open. Only log probabilities ask for something.
bool includes_nothing(const json::value& value) {
  if (!value.is_array()) return false;
  for (const json::value& item : value.get_array()) {
    if (!item.is_string() || is_word(item, {"message.output_text.logprobs"})) return false;
  }
  return true;
}

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
    FieldRule{"reasoning"},
    FieldRule{"text"},
    FieldRule{"store"},
    FieldRule{"stream_options", FieldUse::kIgnored},  // obfuscation, which pads chunks: ours are not padded
    FieldRule{"metadata", FieldUse::kIgnored},
    FieldRule{"safety_identifier", FieldUse::kIgnored},
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
    FieldRule{"top_logprobs", FieldUse::kRefused, is_zero},
    FieldRule{"prompt", FieldUse::kRefused},
    FieldRule{"prompt_cache_options", FieldUse::kRefused},
    FieldRule{"context_management", FieldUse::kRefused},
    FieldRule{"moderation", FieldUse::kRefused},
    FieldRule{"previous_response_id"},
    FieldRule{"conversation"},
};

constexpr std::array kReasoningFields = {
    FieldRule{"effort", FieldUse::kRefused, is_effort},
    FieldRule{"summary", FieldUse::kIgnored},  // thinking comes whole, not in a summary
    FieldRule{"generate_summary", FieldUse::kIgnored},
};

constexpr std::array kTextFields = {
    FieldRule{"format", FieldUse::kRefused, is_plain_text},
    FieldRule{"verbosity", FieldUse::kRefused, is_usual_verbosity},
};

bool is_set(const json::object& root, std::string_view name) {
  const json::value* value = root.if_contains(name);
  return value != nullptr && !value->is_null();
}

/// Nothing is kept between requests: a client that thinks otherwise must hear of it now, not at its next request.
Status check_stateless(const json::object& root) {
  TG_ASSIGN(const auto store, json::find_bool(root, "store"));
  if (store.value_or(false)) return refuse_feature("store", "nothing is kept: send false, or leave it out");
  for (const std::string_view name : {"previous_response_id", "conversation"}) {
    if (is_set(root, name)) {
      return refuse_feature(std::string(name), "nothing is kept between requests: send the whole history in 'input'");
    }
  }
  return {};
}

Status check_object(const json::object& root, std::string_view name, std::span<const FieldRule> rules,
                    std::int32_t& ignored) {
  if (!is_set(root, name)) return {};
  TG_ASSIGN(const json::object* object, json::get_object(root, name));
  return check_members(*object, rules, name, ignored);
}

}  // namespace

Result<Plan> parse_responses(std::string_view body) {
  TG_ASSIGN(const json::value document, parse_document(body));
  const json::object& root = document.get_object();
  Plan plan;
  TG_TRY(check_stateless(root));
  TG_TRY(check_members(root, kFields, "", plan.fields_ignored));
  TG_TRY(check_object(root, "reasoning", kReasoningFields, plan.fields_ignored));
  TG_TRY(check_object(root, "text", kTextFields, plan.fields_ignored));
  TG_ASSIGN(plan.model, json::get_string(root, "model"));
  TG_ASSIGN(auto instructions, json::find_string(root, "instructions"));
  if (instructions && !instructions->empty()) {
    plan.messages.push_back(PlanMessage{Role::kSystem, *std::move(instructions)});
  }
  TG_ASSIGN(const json::value* input, json::member(root, "input"));
  TG_TRY(parse_responses_input(*input, plan));
  TG_ASSIGN(plan.sampling.max_tokens, find_token_limit(root, "max_output_tokens"));
  TG_TRY(parse_sampling_numbers(root, plan.sampling));
  TG_ASSIGN(const auto is_stream, json::find_bool(root, "stream"));
  plan.is_stream = is_stream.value_or(false);
  plan.include_usage = true;
  TG_ASSIGN(auto user, json::find_string(root, "user"));
  plan.end_user = std::move(user).value_or("");
  TG_TRY(check_plan(plan, "", kNames));
  return plan;
}

}  // namespace tidegate::gateway
