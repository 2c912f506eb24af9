#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/plan.h"
#include "gateway/http/answer_dialect.h"

namespace tidegate::gateway {

/// OpenAI's error object, with the fields of the plan called what this dialect calls them.
std::string responses_error_body(const ApiError& error, const RequestId& request);

/// What every response object says of its request, as JSON. Of the tools their names: nothing is kept, and long ones would
/// travel three times.
struct ResponsesEcho {
  bool parallel_tool_calls = true;
  std::string tool_choice = "\"auto\"";
  std::string tools = "[]";
  std::string format = "{\"type\":\"text\"}";
};
ResponsesEcho echo_of(const Plan& plan);

/// One item of the output.
struct ResponsesItem {
  enum class Kind : std::uint8_t { kReasoning, kMessage, kCall };
  Kind kind = Kind::kMessage;
  std::string text;     ///< of a call its arguments
  std::string call_id;  ///< of a call
  std::string name;     ///< of a call
  TokenLogprobs logprobs = {};  ///< of a message, if they were asked for
};

/// OpenAI's Responses dialect. A stream is created, in_progress, then items one after the other (output_item.added,
/// content_part.added, deltas, *.done, content_part.done, output_item.done), then completed or incomplete; no [DONE].
/// Reasoning is an item of its own that stands before the message; a call is one too (function_call_arguments.delta and
/// .done in place of parts), and text that comes after the first call is kept back and stands behind the last. Every event has its number, and items keep their ids
/// up to the last event. A cut is response.failed and, because openai-node raises only on a top-level `error`, an error
/// event. Text is kept until the end: the last event repeats it.
class ResponsesDialect final : public AnswerDialect {
 public:
  explicit ResponsesDialect(const PlanSampling& asked, ResponsesEcho echo = {});

  void append_text(std::string& out, const AnswerHead& head, std::string_view reasoning,
                   std::string_view content) override;
  void append_calls(std::string& out, const AnswerHead& head, std::span<const ToolCallDelta> calls) override;
  /// There is one answer. Log probabilities are the message's only: its thinking has no place for them.
  void append_part(std::string& out, const AnswerHead& head, const AnswerPart& part) override;
  /// The events that open the answer, and comments after them: clients refuse events before `created` and types they
  /// do not know.
  void append_keep_alive(std::string& out, const AnswerHead& head) override;
  void append_end(std::string& out, const AnswerHead& head, const AnswerEnd& end) override;
  void append_cut(std::string& out, const AnswerHead& head, const ApiError& error) override;
  std::string body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                   const AnswerEnd& end) override;

 private:
  using Kind = ResponsesItem::Kind;

  void begin_event(std::string& out, std::string_view type);
  void open(std::string& out, const AnswerHead& head);
  /// Makes an item of this kind the open one. A call is entered by enter_call.
  void enter(std::string& out, const AnswerHead& head, Kind kind);
  void enter_call(std::string& out, const AnswerHead& head, const ToolCallDelta& call);
  void append_added(std::string& out, const AnswerHead& head);
  void append_text_done(std::string& out, const AnswerHead& head);
  void append_arguments_done(std::string& out, const AnswerHead& head);
  void leave(std::string& out, const AnswerHead& head, std::string_view status);
  void append_delta(std::string& out, const AnswerHead& head, Kind kind, std::string_view text);
  /// ,"item_id":...,"output_index":... of the last item, and ,"content_index":0 where items have parts
  void append_place(std::string& out, const AnswerHead& head) const;
  /// The response object. `status` is completed | incomplete | failed | in_progress; `item_status` is the last item's.
  void append_response(std::string& out, const AnswerHead& head, std::string_view status, std::string_view item_status,
                       const AnswerEnd* end, const ApiError* error) const;

  std::optional<double> temperature_;
  std::optional<double> top_p_;
  std::int32_t max_tokens_;  ///< 0 = not named
  bool is_open_ = false;
  std::int64_t sequence_ = 0;
  std::vector<ResponsesItem> items_;  ///< in order; the last may be open
  std::string kept_back_;             ///< text behind the first call
  TokenLogprobs weighed_;             ///< of the next text of the message
  ResponsesEcho echo_;
};

}  // namespace tidegate::gateway
