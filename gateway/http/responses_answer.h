#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/core/plan.h"
#include "gateway/http/answer_dialect.h"

namespace tidegate::gateway {

/// OpenAI's error object, with the fields of the plan called what this dialect calls them.
std::string responses_error_body(const ApiError& error, const RequestId& request);

/// OpenAI's Responses dialect. A stream is created, in_progress, then items one after the other (output_item.added,
/// content_part.added, deltas, *.done, content_part.done, output_item.done), then completed or incomplete; no [DONE].
/// Reasoning is an item of its own that stands before the message. Every event has its number, and items keep their ids
/// up to the last event. A cut is response.failed and, because openai-node raises only on a top-level `error`, an error
/// event. Text is kept until the end: the last event repeats it.
class ResponsesDialect final : public AnswerDialect {
 public:
  explicit ResponsesDialect(const PlanSampling& asked);

  void append_text(std::string& out, const AnswerHead& head, std::string_view reasoning,
                   std::string_view content) override;
  /// The events that open the answer, and comments after them: clients refuse events before `created` and types they
  /// do not know.
  void append_keep_alive(std::string& out, const AnswerHead& head) override;
  void append_end(std::string& out, const AnswerHead& head, const AnswerEnd& end) override;
  void append_cut(std::string& out, const AnswerHead& head, const ApiError& error) override;
  std::string body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                   const AnswerEnd& end) override;

 private:
  enum class Kind : std::uint8_t { kReasoning, kMessage };
  struct Item {
    Kind kind;
    std::string text;
  };

  void begin_event(std::string& out, std::string_view type);
  void open(std::string& out, const AnswerHead& head);
  /// Makes an item of this kind the open one.
  void enter(std::string& out, const AnswerHead& head, Kind kind);
  void leave(std::string& out, const AnswerHead& head, std::string_view status);
  void append_delta(std::string& out, const AnswerHead& head, Kind kind, std::string_view text);
  /// ,"item_id":...,"output_index":...,"content_index":0 of the last item
  void append_place(std::string& out, const AnswerHead& head) const;
  /// The response object. `status` is completed | incomplete | failed | in_progress; `item_status` is the last item's.
  void append_response(std::string& out, const AnswerHead& head, std::string_view status, std::string_view item_status,
                       const AnswerEnd* end, const ApiError* error) const;

  std::optional<double> temperature_;
  std::optional<double> top_p_;
  std::int32_t max_tokens_;  ///< 0 = not named
  bool is_open_ = false;
  std::int64_t sequence_ = 0;
  std::vector<Item> items_;  ///< in order; the last may be open
};

}  // namespace tidegate::gateway
