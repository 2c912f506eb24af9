#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/engine/stop_matcher.h"
#include "worker/engine/tool_parser.h"
#include "worker/tokenizer/text_decoder.h"

namespace tidegate::worker {

/// Sampled tokens to the two texts of an answer. Output begins where the prompt left it: inside the reasoning (the
/// template opened <think>) or in the content.
/// </think> arrives as a token, never as text, so a model that merely spells it does not end its reasoning.
///
/// Line breaks around </think> belong to the tags: the ones right before it are not part of the reasoning,
/// the ones right after it not part of the content. Both texts are therefore what a person would quote, and
/// joining deltas gives them. Stop strings are matched on the content only.
///
/// With a parser the content is split into text and calls. Marks of calls inside of the reasoning mean nothing: a model that
/// thinks about a call makes none.
class AnswerStream {
 public:
  struct Text {
    std::string reasoning;
    std::string content;
    ToolCallDeltas calls = {};
  };

  enum class Start : std::uint8_t {
    kReasoning,
    kContent,  ///< no tag stands before the text, so its first line breaks are text
  };

  explicit AnswerStream(std::vector<std::string> stops, Start start = Start::kReasoning,
                        std::optional<ToolParser> tools = std::nullopt)
      : in_reasoning_(start == Start::kReasoning),
        content_began_(start == Start::kContent),
        stops_(std::move(stops)),
        tools_(std::move(tools)) {}

  Text on_token(std::string_view bytes);
  /// Ends the reasoning; ignored in the content.
  Text on_think_end();
  /// Begins the reasoning, in an answer that has said nothing yet; ignored in others.
  void on_think();
  /// A mark of a call; nothing in the reasoning, and without a parser.
  Text on_mark(ToolMark mark);
  /// The sequence ended (not by a stop string): whatever was held back comes out.
  Text finish();

  bool in_reasoning() const { return in_reasoning_; }
  bool stopped() const { return stops_.stopped(); }
  /// The answer has calls, so its end is theirs.
  bool has_calls() const { return tools_ && tools_->calls() > 0; }
  /// A call began that is one too many: nothing of the answer follows.
  bool is_over() const { return tools_ && tools_->is_over(); }
  /// The stop string that ended the content; "" before.
  const std::string& stop_text() const { return stops_.stop_text(); }

 private:
  std::string reasoning_text(std::string text);
  Text content_text(std::string text);
  Text shown(ToolParser::Output out);

  bool in_reasoning_;
  bool content_began_;
  std::string line_breaks_;  ///< at the end of the reasoning so far, held back
  TextDecoder decoder_;
  StopMatcher stops_;
  std::optional<ToolParser> tools_;
  bool has_said_ = false;  ///< some token of text came
};

}  // namespace tidegate::worker
