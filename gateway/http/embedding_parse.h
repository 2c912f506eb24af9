#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/core/result.h"
#include "gateway/core/plan.h"
#include "gateway/http/request_fields.h"

namespace tidegate::gateway {

/// How the numbers of a vector are written.
enum class VectorForm : std::uint8_t { kFloat, kBase64 };

/// A plan for vectors of texts, and what only the answer needs to know.
struct EmbeddingRequest {
  Plan plan;
  VectorForm form = VectorForm::kFloat;
};

/// What POST /v1/embeddings does with each field it knows.
std::span<const FieldRule> embedding_fields();

/// Reads the body of POST /v1/embeddings, by the rules of parse_openai_chat. `input` is a text, texts, token ids, or lists of
/// token ids. `dimensions` is refused: a vector that is cut is not the model's.
///
/// Fails: invalid_argument with reason invalid_json, missing_field, wrong_type, invalid_value, unsupported_parameter,
/// request_too_large; the message names the field, the limit and the fix.
Result<EmbeddingRequest> parse_embedding(std::string_view body);

}  // namespace tidegate::gateway
