#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/core/result.h"
#include "gateway/core/plan.h"
#include "gateway/http/request_fields.h"

namespace tidegate::gateway {

/// A plan with a raw prompt, and what only the answer needs to know.
struct CompletionRequest {
  Plan plan;
  bool echo = false;  ///< the prompt's text stands before the answer's
};

/// Tokens of an answer whose request names no max_tokens: the dialect's own default.
inline constexpr std::int32_t kCompletionTokensDefault = 16;

/// What POST /v1/completions does with each field it knows.
std::span<const FieldRule> completion_fields();

/// Reads the body of POST /v1/completions, by the rules of parse_openai_chat. `prompt` is text: token ids are refused,
/// since an id could be that of a control token. An empty `suffix` is none.
///
/// Fails: invalid_argument with reason invalid_json, missing_field, wrong_type, invalid_value, unsupported_parameter,
/// request_too_large; the message names the field, the limit and the fix.
Result<CompletionRequest> parse_completion(std::string_view body);

}  // namespace tidegate::gateway
