#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "worker/engine/json_scanner.h"
#include "worker/engine/tool_call_delta.h"
#include "worker/tokenizer/tool_spec.h"

namespace tidegate::worker {

/// Splits an answer's text into content and calls while it is written. Marks arrive as tokens, never as text, so a model
/// that merely spells one makes no call, and neither does anybody who makes it repeat one.
///
/// A call is told with the first byte of its arguments, which then follow as they come; they are an object, or the call is
/// malformed. What is malformed before that byte is content, marks spelled out: nothing is lost. What goes wrong behind it
/// stays in the arguments, up to the call's end: its reader sees what the model wrote. Line breaks right before a call and
/// blanks between calls belong to the marks. However the text is cut, the joined content and the joined calls are the same.
class ToolParser {
 public:
  struct Limits {
    bool is_parallel = true;  ///< false: the second call ends the answer, see is_over()
    std::int32_t calls_max = 128;
  };
  struct Output {
    std::string content;
    ToolCallDeltas calls;
  };

  /// Call number n gets the id "call_<nn>_<id_suffix>".
  ToolParser(ToolSyntax syntax, std::string id_suffix, Limits limits);

  Output on_text(std::string_view text);
  Output on_mark(ToolMark mark);
  /// The answer ended: what was held back comes out.
  Output finish();

  /// Calls told so far.
  std::int32_t calls() const { return calls_; }
  /// A call began that is more than the limits allow. It and all that follows is no part of the answer.
  bool is_over() const { return is_over_; }

 private:
  enum class At : std::uint8_t {
    kContent,
    kBetween,    ///< inside of DeepSeek's list, outside of its calls
    kHead,       ///< in a call, before its arguments
    kArguments,
    kBroken,     ///< in arguments that are no JSON
    kTail,       ///< behind the arguments
  };
  /// Members of a Hermes call, read until its arguments begin.
  enum class Hermes : std::uint8_t { kOpen, kKey, kColon, kValue, kComma };

  void on_byte(char c, Output& out);
  void add_content(std::string_view text, Output& out);
  void release_blanks(Output& out);
  void begin_call();
  void end_call(Output& out);
  /// What was held of the call becomes content.
  void give_up(Output& out);

  void in_head(char c, Output& out);
  void in_hermes_head(char c, Output& out);
  void on_hermes_value(Output& out);
  void begin_arguments(Output& out);
  void in_arguments(char c, Output& out);
  /// In a fence: what may be its end waits.
  void in_broken(char c, Output& out);
  void add_arguments(std::string_view text, Output& out);

  ToolSyntax syntax_;
  std::string id_suffix_;
  Limits limits_;
  At at_ = At::kContent;
  std::int32_t calls_ = 0;
  bool is_over_ = false;
  std::string blanks_;      ///< line breaks at the end of the content so far, or blanks behind a call
  std::string held_;        ///< the call so far, marks spelled out, until its arguments begin
  std::string head_;        ///< DeepSeek: text behind the last mark of the head
  bool has_separator_ = false;
  std::string name_;
  JsonScanner scanner_;
  std::string fence_;       ///< of broken arguments: what may be the fence's end

  Hermes hermes_ = Hermes::kOpen;
  std::string key_;         ///< as JSON, quotes included
  std::string value_;       ///< as JSON
  std::string early_;       ///< arguments that came before the name
};

}  // namespace tidegate::worker
