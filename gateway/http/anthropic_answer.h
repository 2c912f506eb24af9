#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "gateway/http/answer_dialect.h"

namespace tidegate::gateway {

/// {"type":"error","error":{"type","message","details":{"error_code","param"}},"request_id"}. Anthropic's shape has no
/// place for the field and our stable code but `details`, which its clients show and pass on.
std::string anthropic_error_body(const ApiError& error, const RequestId& request);
/// Anthropic's family for an error, e.g. "overloaded_error".
std::string_view anthropic_error_type(const ApiError& error);

/// Anthropic's Messages dialect. A stream is message_start, then blocks one after the other (content_block_start,
/// deltas, content_block_stop), message_delta, message_stop; pings anywhere. A call is a tool_use block, whose input comes
/// as pieces of JSON; text that comes after the first call is kept back and stands behind the last. Reasoning is a thinking
/// block: it stands before the text, and its signature, which Anthropic's clients send back unread, is the id of the request that
/// thought it.
class AnthropicDialect final : public AnswerDialect {
 public:
  void append_text(std::string& out, const AnswerHead& head, std::string_view reasoning,
                   std::string_view content) override;
  /// Clients that watch for idle streams count events, not comments: a ping is one. It opens the answer only once the
  /// prompt was counted, for message_start tells its length.
  void append_keep_alive(std::string& out, const AnswerHead& head) override;
  void append_calls(std::string& out, const AnswerHead& head, std::span<const ToolCallDelta> calls) override;
  void append_end(std::string& out, const AnswerHead& head, const AnswerEnd& end) override;
  void append_cut(std::string& out, const AnswerHead& head, const ApiError& error) override;
  std::string body(const AnswerHead& head, std::string_view reasoning, std::string_view content,
                   const AnswerEnd& end) override;

 private:
  enum class Block : std::uint8_t { kNone, kThinking, kText, kCall };
  void open(std::string& out, const AnswerHead& head);
  /// Makes `block` the open one. A call is entered by enter_call.
  void enter(std::string& out, const AnswerHead& head, Block block);
  void enter_call(std::string& out, const AnswerHead& head, const ToolCallDelta& call);
  void leave(std::string& out, const AnswerHead& head);
  void append_delta(std::string& out, std::string_view kind, std::string_view key, std::string_view text) const;

  bool is_open_ = false;
  Block block_ = Block::kNone;
  std::int64_t index_ = -1;  ///< of the block that is or was open
  std::string kept_back_;    ///< text behind the first call
};

}  // namespace tidegate::gateway
