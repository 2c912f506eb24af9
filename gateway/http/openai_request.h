#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/json/json.h"
#include "gateway/core/plan.h"

/// The parts of a request that OpenAI's dialects share. Everything fails as invalid_argument, and the message names the
/// field, the limit and the fix.
namespace tidegate::gateway {

/// Values that ask for nothing, for FieldRule.
bool is_false(const json::value& value);
bool is_plain_text(const json::value& value);       ///< response_format, text.format
bool leaves_choice_free(const json::value& value);  ///< tool_choice, function_call
bool is_usual_verbosity(const json::value& value);  ///< verbosity, text.verbosity

/// Whether the effort of that name is "none", which means no thinking; every other level is a hint. `path` is the
/// object's own. Fails: wrong_type, invalid_value.
Result<bool> is_effort_none(const json::object& object, std::string_view name, std::string_view path = {});

/// Whom the caller serves, for caps of end users: `user`, else DeepSeek's `user_id`, else `safety_identifier`, OpenAI's
/// newer name; empty when none is named. Fails: wrong_type, invalid_value.
Result<std::string> parse_end_user(const json::object& root);

/// presence_penalty, frequency_penalty, repetition_penalty and logit_bias, whose keys are token ids as text. Ranges are
/// check_plan's. Fails: wrong_type, invalid_value.
Status parse_penalties(const json::object& root, PlanSampling& sampling);

/// `n`. Fails: wrong_type, invalid_value.
Status parse_choices(const json::object& root, PlanSampling& sampling);

/// `logprobs` and `top_logprobs` of a chat. Fails: wrong_type, invalid_value.
Status parse_chat_logprobs(const json::object& root, PlanSampling& sampling);

/// `stop`: a string or an array of strings. Fails: wrong_type.
Result<std::vector<std::string>> parse_stop(const json::object& root);

/// `service_tier`: "auto" (the usual one), "default", "flex" or "priority". Fails: wrong_type, invalid_value.
Status parse_service_tier(const json::object& root, Plan& plan);

/// stream and stream_options. Fails: wrong_type, invalid_value.
Status parse_stream(const json::object& root, Plan& plan);

}  // namespace tidegate::gateway
