#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace tidegate::worker {

/// A prompt without a conversation around it.
struct RawPrompt {
  std::string text;                        ///< valid UTF-8; never matched against control tokens
  std::optional<std::string> suffix = {};  ///< as text; set: the answer is what belongs between the two

  /// All of it becomes tokens: a cheap lower bound for refusing a prompt.
  std::size_t bytes() const { return text.size() + (suffix ? suffix->size() : 0); }
};

}  // namespace tidegate::worker
