#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/tokenizer/bpe.h"

namespace tidegate::worker {

/// A control token, or text if id < 0.
struct PromptPiece {
  TokenId id = -1;
  std::string text;
};

/// A prompt on its way to tokens: control tokens enter by id, everything else is text. Neighbouring texts become one, for a
/// tokenizer merges across what a template put side by side.
class PromptWriter {
 public:
  void control(TokenId id) { pieces_.push_back({id, {}}); }
  void text(std::string_view text) {
    if (text.empty()) return;
    if (pieces_.empty() || pieces_.back().id >= 0) pieces_.push_back({-1, {}});
    pieces_.back().text += text;
  }
  std::vector<PromptPiece> take() { return std::exchange(pieces_, {}); }

 private:
  std::vector<PromptPiece> pieces_;
};

}  // namespace tidegate::worker
