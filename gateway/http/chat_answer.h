#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "gateway/core/plan.h"
#include "gateway/http/answer_dialect.h"
#include "gateway/http/openai_answer.h"

namespace tidegate::gateway {

/// How a chat completion words a call.
enum class CallForm : std::uint8_t {
  kToolCalls,
  kFunctionCall,  ///< before there were tools: one call, without an id
};

/// OpenAI's chat.completion, with thinking as reasoning_content. A stream is a chunk with the role, reasoning, content,
/// calls (each begins with a chunk of its id, type and name; pieces of its arguments follow), the finish reason, the usage
/// if asked, [DONE]; comments anywhere. Several answers each do that under their index, between each other's chunks; the usage
/// is of all.
class ChatDialect final : public AnswerDialect {
 public:
  explicit ChatDialect(bool include_usage, CallForm form = CallForm::kToolCalls)
      : frame_(include_usage), form_(form) {}

  void append_text(std::string& out, const AnswerHead& head, std::string_view reasoning,
                   std::string_view content) override;
  void append_calls(std::string& out, const AnswerHead& head, std::span<const ToolCallDelta> calls) override;
  void append_part(std::string& out, const AnswerHead& head, const AnswerPart& part) override;
  void append_keep_alive(std::string& out, const AnswerHead& head) override;
  void append_end(std::string& out, const AnswerHead& head, const AnswerEnd& end) override;
  void append_cut(std::string& out, const AnswerHead& head, const ApiError& error) override;
  std::string body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                   const AnswerEnd& end) override;

 private:
  /// delta {"role":"assistant","content":""}: openai-node's helper refuses a stream without it. Names the variant.
  void open(std::string& out, const AnswerHead& head, std::int32_t choice);
  /// Up to behind "delta":{
  void begin_chunk(std::string& out, std::int32_t choice) const;
  void append_delta(std::string& out, std::int32_t choice, std::string_view key, std::string_view text,
                    std::span<const TokenLogprob> logprobs) const;
  void append_choice_calls(std::string& out, std::int32_t choice, std::span<const ToolCallDelta> calls) const;
  void append_call_begin(std::string& out, std::int32_t choice, const ToolCallDelta& call) const;
  void append_arguments(std::string& out, std::int32_t choice, const ToolCallDelta& call) const;
  void append_finish(std::string& out, std::int32_t choice, std::string_view finish_reason) const;
  /// The calls of a whole answer, as a member of its message; a comma in front.
  void append_whole_calls(std::string& out, const ToolCallDeltas& calls) const;
  void append_reason(std::string& out, std::string_view finish_reason) const;
  /// {"index","message","logprobs","finish_reason"} of a whole answer.
  void append_whole(std::string& out, std::string_view reasoning, std::string_view content,
                    const AnswerPart& rest) const;

  OpenAiFrame frame_;
  CallForm form_;
  std::string prefix_;  ///< the frame's start and ,"choices":[{"index":
  std::string suffix_;  ///< },"logprobs":null,"finish_reason":null}] and the frame's close
  std::bitset<PlanLimits::kChoicesMax> opened_;  ///< choices whose role has been said
};

}  // namespace tidegate::gateway
