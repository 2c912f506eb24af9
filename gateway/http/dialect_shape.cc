#include "gateway/http/dialect_shape.h"

#include "gateway/http/anthropic_answer.h"
#include "gateway/http/openai_answer.h"
#include "gateway/http/responses_answer.h"

namespace tidegate::gateway {
namespace {

constexpr DialectShape kOpenAiShape = {"", "", openai_error_body};
constexpr DialectShape kAnthropicShape = {"request-id", "x-api-key", anthropic_error_body};
constexpr DialectShape kResponsesShape = {"", "", responses_error_body};

}  // namespace

const DialectShape& shape_of(Dialect dialect) {
  switch (dialect) {
    case Dialect::kOpenAi: return kOpenAiShape;
    case Dialect::kAnthropic: return kAnthropicShape;
    case Dialect::kResponses: return kResponsesShape;
  }
  return kOpenAiShape;
}

}  // namespace tidegate::gateway
