#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/core/plan.h"
#include "gateway/http/answer_dialect.h"
#include "gateway/http/logprob_answer.h"
#include "gateway/http/openai_answer.h"

namespace tidegate::gateway {

/// OpenAI's text_completion, whole or in chunks of the same object. A raw prompt is answered without thinking; should a
/// model think all the same, its thinking is left out.
class CompletionDialect final : public AnswerDialect {
 public:
  /// `echo` is text that stands before the answer's, or "".
  CompletionDialect(bool include_usage, std::string echo) : frame_(include_usage), echo_(std::move(echo)) {}

  void append_text(std::string& out, const AnswerHead& head, std::string_view reasoning,
                   std::string_view content) override;
  /// A raw prompt has no tools, so its answer has no calls.
  void append_calls(std::string&, const AnswerHead&, std::span<const ToolCallDelta>) override {}
  void append_part(std::string& out, const AnswerHead& head, const AnswerPart& part) override;
  void append_keep_alive(std::string& out, const AnswerHead& head) override;
  void append_end(std::string& out, const AnswerHead& head, const AnswerEnd& end) override;
  void append_cut(std::string& out, const AnswerHead& head, const ApiError& error) override;
  std::string body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                   const AnswerEnd& end) override;

 private:
  /// Says the prompt first, if it is asked for, of each answer.
  void open(std::string& out, const AnswerHead& head, std::int32_t choice);
  /// An empty `finish_reason` is none. The last chunk of an answer names the variant.
  void append_chunk(std::string& out, std::int32_t choice, std::string_view text,
                    std::span<const TokenLogprob> logprobs, std::string_view finish_reason);

  OpenAiFrame frame_;
  const std::string echo_;
  std::bitset<PlanLimits::kChoicesMax> opened_;
  std::array<CompletionLogprobs, PlanLimits::kChoicesMax> logprobs_;  ///< by choice
};

}  // namespace tidegate::gateway
