#pragma once

#include <string>
#include <string_view>

#include "gateway/dispatch/answer_sink.h"
#include "gateway/http/answer_head.h"

namespace tidegate::gateway {

/// How one kind of answer of OpenAI's dialect is written: chat.completion (openai_answer.h) or text_completion
/// (completion_answer.h). One object an answer, on its io thread. Every append_ writes whole server-sent events into
/// the caller's buffer. Order of a stream: start, text*, finish, usage.
class AnswerForm {
 public:
  virtual ~AnswerForm() = default;
  /// Before the first text: from here on the worker is known, and does not change any more.
  virtual void append_start(std::string& out, const AnswerHead& head) = 0;
  /// Reasoning comes before content; either may be empty.
  virtual void append_text(std::string& out, std::string_view reasoning, std::string_view content) const = 0;
  virtual void append_finish(std::string& out, std::string_view finish_reason) const = 0;
  virtual void append_usage(std::string& out, const TokenUsage& usage, const Settlement& settlement) const = 0;
  /// The body of an answer that does not stream; `end.reasoning` and `end.content` hold all of its text.
  virtual std::string whole(const AnswerHead& head, const AnswerEnd& end) const = 0;
};

}  // namespace tidegate::gateway
