#pragma once

#include <span>
#include <string_view>

#include "base/core/result.h"
#include "gateway/core/plan.h"
#include "gateway/http/request_fields.h"

namespace tidegate::gateway {

/// What POST /v1/chat/completions does with each field it knows.
std::span<const FieldRule> openai_chat_fields();

/// Reads the body of POST /v1/chat/completions. Every field of OpenAI's and DeepSeek's request is served, or ignored
/// when its value asks for nothing, or refused by name; none is dropped silently. Fields nobody knows are ignored
/// (refusing them broke clients) and counted in Plan::fields_ignored.
///
/// Fails: invalid_argument with reason invalid_json (also invalid UTF-8), missing_field, wrong_type, invalid_value,
/// unsupported_parameter, request_too_large; the message names the field, the limit and the fix.
Result<Plan> parse_openai_chat(std::string_view body);

/// A plan, and what only the answer needs to know.
struct ChatRequest {
  Plan plan;
  bool is_legacy = false;  ///< it speaks of `functions`: calls leave as `function_call`
};
Result<ChatRequest> read_openai_chat(std::string_view body);

}  // namespace tidegate::gateway
