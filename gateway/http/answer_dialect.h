#pragma once

#include <span>
#include <string>
#include <string_view>

#include "gateway/core/answer_end.h"
#include "gateway/core/api_error.h"
#include "gateway/http/answer_head.h"

namespace tidegate::gateway {

/// How one dialect words one answer: text in, bytes out, no I/O. One object a request, on its io thread. The sinks
/// (http_sink.h) decide what is said and when; text is whole UTF-8 code points throughout.
class AnswerDialect {
 public:
  virtual ~AnswerDialect() = default;

  /// Events of a stream, appended to `out` in the order of the calls: text or keep-alive any number of times, then one
  /// end or one cut. Text may be empty: then the answer only opens, if it has not. From the first text on the worker is
  /// known, and does not change any more.
  virtual void append_text(std::string& out, const AnswerHead& head, std::string_view reasoning,
                           std::string_view content) = 0;
  /// Pieces of calls, in their order. A client reads them behind the text that came before the first of them.
  virtual void append_calls(std::string& out, const AnswerHead& head, std::span<const ToolCallDelta> calls) = 0;
  /// A piece of one answer, in a dialect that may have several: its text, its calls, and its end if it has one, unless it is
  /// the request's. A dialect without several, and without log probabilities, has nothing to add to the two above.
  virtual void append_part(std::string& out, const AnswerHead& head, const AnswerPart& part) {
    append_text(out, head, part.reasoning, part.content);
    append_calls(out, head, part.tool_calls);
  }
  /// Something a client skips, or the events that open the answer.
  virtual void append_keep_alive(std::string& out, const AnswerHead& head) = 0;
  /// The end, and that of `end.others`; the text has been appended. Nothing follows.
  virtual void append_end(std::string& out, const AnswerHead& head, const AnswerEnd& end) = 0;
  /// What tells a client that the stream was cut: clients take silence for completion. Nothing follows.
  virtual void append_cut(std::string& out, const AnswerHead& head, const ApiError& error) = 0;

  /// The whole answer of a request that does not stream, with its cost and its receipt: its headers may have left
  /// before they were known. `end` holds no text, and every call in one piece; further answers
  /// are in `end.others`, whole.
  virtual std::string body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                           const AnswerEnd& end) = 0;
};

}  // namespace tidegate::gateway
