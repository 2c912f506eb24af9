#pragma once

#include <span>
#include <string_view>

#include "base/core/result.h"
#include "gateway/core/plan.h"
#include "gateway/http/request_fields.h"

namespace tidegate::gateway {

/// What POST /v1/messages does with each field it knows.
std::span<const FieldRule> anthropic_fields();

/// Reads the body of POST /v1/messages. Every field of Anthropic's request is served, or ignored when it only steers
/// what has no meaning here, or refused by name; none is dropped silently. Fields nobody knows are ignored and counted
/// in Plan::fields_ignored. `seed` is ours: the same seed gives the same answer in every dialect.
///
/// Fails: invalid_argument with reason invalid_json (also invalid UTF-8), missing_field, wrong_type, invalid_value,
/// unsupported_parameter, request_too_large; the message names the field, the limit and the fix.
Result<Plan> parse_anthropic_messages(std::string_view body);
/// The same for a prompt that is only counted (POST /v1/messages/count_tokens): max_tokens is not needed.
Result<Plan> parse_anthropic_count(std::string_view body);

}  // namespace tidegate::gateway
