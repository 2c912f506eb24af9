#pragma once

#include <span>
#include <string_view>

#include "base/core/result.h"
#include "gateway/core/plan.h"
#include "gateway/http/request_fields.h"

namespace tidegate::gateway {

/// What POST /v1/responses does with each field it knows.
std::span<const FieldRule> responses_fields();

/// Reads the body of POST /v1/responses: the stateless part of OpenAI's Responses. Whatever needs something kept
/// between requests (store, previous_response_id, conversation, background) is refused by name; clients that send their
/// whole history, as Codex does, need none of it. Other fields as in parse_openai_chat. `top_k` and `seed` are ours.
///
/// Fails: invalid_argument with reason invalid_json (also invalid UTF-8), missing_field, wrong_type, invalid_value,
/// unsupported_parameter, request_too_large; the message names the field, the limit and the fix.
Result<Plan> parse_responses(std::string_view body);

}  // namespace tidegate::gateway
