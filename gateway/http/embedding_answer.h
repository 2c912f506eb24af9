#pragma once

#include <span>
#include <string>
#include <string_view>

#include "gateway/http/answer_dialect.h"
#include "gateway/http/embedding_parse.h"

namespace tidegate::gateway {

/// OpenAI's list of embeddings: always whole, in the order of the texts. Base64 is of little-endian 32-bit floats.
class EmbeddingDialect final : public AnswerDialect {
 public:
  explicit EmbeddingDialect(VectorForm form) : form_(form) {}

  // Nothing of it is streamed.
  void append_text(std::string&, const AnswerHead&, std::string_view, std::string_view) override {}
  void append_calls(std::string&, const AnswerHead&, std::span<const ToolCallDelta>) override {}
  void append_keep_alive(std::string&, const AnswerHead&) override {}
  void append_end(std::string&, const AnswerHead&, const AnswerEnd&) override {}
  void append_cut(std::string& out, const AnswerHead& head, const ApiError& error) override;
  std::string body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                   const AnswerEnd& end) override;

 private:
  void append_vector(std::string& out, std::size_t index, std::span<const float> vector) const;

  const VectorForm form_;
};

}  // namespace tidegate::gateway
