#pragma once

#include <string>
#include <string_view>

#include "gateway/http/answer_dialect.h"
#include "gateway/http/openai_answer.h"

namespace tidegate::gateway {

/// OpenAI's chat.completion, with thinking as reasoning_content. A stream is a chunk with the role, reasoning, content,
/// the finish reason, the usage if asked, [DONE]; comments anywhere.
class ChatDialect final : public AnswerDialect {
 public:
  explicit ChatDialect(bool include_usage) : frame_(include_usage) {}

  void append_text(std::string& out, const AnswerHead& head, std::string_view reasoning,
                   std::string_view content) override;
  void append_keep_alive(std::string& out, const AnswerHead& head) override;
  void append_end(std::string& out, const AnswerHead& head, const AnswerEnd& end) override;
  void append_cut(std::string& out, const AnswerHead& head, const ApiError& error) override;
  std::string body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                   const AnswerEnd& end) override;

 private:
  /// delta {"role":"assistant","content":""}: openai-node's helper refuses a stream without it. Names the variant.
  void open(std::string& out, const AnswerHead& head);
  void append_delta(std::string& out, std::string_view key, std::string_view text) const;

  OpenAiFrame frame_;
  std::string prefix_;  ///< the frame's start and ,"choices":[{"index":0,"delta":{
  std::string suffix_;  ///< },"logprobs":null,"finish_reason":null}] and the frame's close
};

}  // namespace tidegate::gateway
