#include "gateway/http/dialect_shape.h"

#include <algorithm>

#include "gateway/http/anthropic_answer.h"
#include "gateway/http/openai_answer.h"
#include "gateway/http/responses_answer.h"

namespace tidegate::gateway {
namespace {

/// DeepSeek keeps 400 for what is no request at all, and answers 422 to one whose parameters are wrong.
void adapt_to_deepseek(ApiError& error) {
  constexpr std::string_view kParameters[] = {"invalid_value", "wrong_type", "missing_field"};
  if (error.http_status != 400 || std::ranges::count(kParameters, std::string_view(error.code)) == 0) return;
  error.http_status = 422;
  error.code = "invalid_parameter";
}

/// Its clients know an overload by this number.
void adapt_to_anthropic(ApiError& error) {
  if (error.http_status == 503 && error.code == "server_overloaded") error.http_status = kStatusOverloaded;
}

constexpr DialectShape kOpenAiShape = {"", "", openai_error_body};
constexpr DialectShape kDeepSeekShape = {"", "", openai_error_body, adapt_to_deepseek};
constexpr DialectShape kAnthropicShape = {"request-id", "x-api-key", anthropic_error_body, adapt_to_anthropic};
constexpr DialectShape kResponsesShape = {"", "", responses_error_body};

}  // namespace

const DialectShape& shape_of(Dialect dialect) {
  switch (dialect) {
    case Dialect::kOpenAi: return kOpenAiShape;
    case Dialect::kDeepSeek: return kDeepSeekShape;
    case Dialect::kAnthropic: return kAnthropicShape;
    case Dialect::kResponses: return kResponsesShape;
  }
  return kOpenAiShape;
}

}  // namespace tidegate::gateway
