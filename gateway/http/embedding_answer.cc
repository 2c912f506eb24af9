#include "gateway/http/embedding_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iterator>

#include "base/core/encoding.h"
#include "base/core/json_text.h"
#include "gateway/http/answer_cost.h"
#include "gateway/http/openai_answer.h"

namespace tidegate::gateway {
namespace {

/// RFC 4648 section 4, padded.
std::string base64_of(std::span<const float> vector) {
  std::string raw;
  raw.reserve(vector.size() * sizeof(float));
  for (const float value : vector) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) raw += static_cast<char>((bits >> shift) & 0xffU);
  }
  std::string text = base64url_encode(raw);
  std::ranges::replace(text, '-', '+');
  std::ranges::replace(text, '_', '/');
  while (text.size() % 4 != 0) text += '=';
  return text;
}

}  // namespace

void EmbeddingDialect::append_cut(std::string& out, const AnswerHead&, const ApiError& error) {
  append_openai_cut(out, error);
}

void EmbeddingDialect::append_vector(std::string& out, std::size_t index, std::span<const float> vector) const {
  fmt::format_to(std::back_inserter(out), R"({{"object":"embedding","index":{},"embedding":)", index);
  if (form_ == VectorForm::kBase64) {
    append_json_text(out, base64_of(vector));
  } else {
    out += '[';
    for (std::size_t i = 0; i < vector.size(); ++i) {
      if (i > 0) out += ',';
      fmt::format_to(std::back_inserter(out), "{}", vector[i]);  // the shortest text that is this very float
    }
    out += ']';
  }
  out += '}';
}

std::string EmbeddingDialect::body(const AnswerHead& head, std::string_view, std::string_view, const AnswerEnd& end) {
  std::string out = R"({"object":"list","data":[)";
  append_vector(out, 0, end.embedding);
  for (const AnswerPart& other : end.others) {
    out += ',';
    append_vector(out, static_cast<std::size_t>(other.choice), other.embedding);
  }
  out += R"(],"model":)";
  append_json_text(out, head.model);
  out += R"(,"variant":)";
  append_json_text(out, head.variant);
  out += ',';
  append_openai_tier(out, head);
  fmt::format_to(std::back_inserter(out), R"("usage":{{"prompt_tokens":{},"total_tokens":{},)", end.usage.prompt,
                 end.usage.prompt);
  append_cost(out, end.settlement);
  out += '}';
  append_receipt_member(out, end.settlement);
  out += '}';
  return out;
}

}  // namespace tidegate::gateway
