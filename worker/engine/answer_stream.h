#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/engine/stop_matcher.h"
#include "worker/tokenizer/text_decoder.h"

namespace tidegate::worker {

/// Sampled tokens to the two texts of an answer. Output begins where the prompt left it: inside the reasoning (the
/// template opened <think>) or in the content.
/// </think> arrives as a token, never as text, so a model that merely spells it does not end its reasoning.
///
/// Line breaks around </think> belong to the tags: the ones right before it are not part of the reasoning,
/// the ones right after it not part of the content. Both texts are therefore what a person would quote, and
/// joining deltas gives them. Stop strings are matched on the content only.
class AnswerStream {
 public:
  struct Text {
    std::string reasoning;
    std::string content;
  };

  enum class Start : std::uint8_t {
    kReasoning,
    kContent,  ///< no tag stands before the text, so its first line breaks are text
  };

  explicit AnswerStream(std::vector<std::string> stops, Start start = Start::kReasoning)
      : in_reasoning_(start == Start::kReasoning), content_began_(start == Start::kContent), stops_(std::move(stops)) {}

  Text on_token(std::string_view bytes);
  /// Ends the reasoning; ignored in the content.
  Text on_think_end();
  /// The sequence ended (not by a stop string): whatever was held back comes out.
  Text finish();

  bool in_reasoning() const { return in_reasoning_; }
  bool stopped() const { return stops_.stopped(); }
  /// The stop string that ended the content; "" before.
  const std::string& stop_text() const { return stops_.stop_text(); }

 private:
  std::string reasoning_text(std::string text);
  std::string content_text(std::string text);

  bool in_reasoning_;
  bool content_began_;
  std::string line_breaks_;  ///< at the end of the reasoning so far, held back
  TextDecoder decoder_;
  StopMatcher stops_;
};

}  // namespace tidegate::worker
