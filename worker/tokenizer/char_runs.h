#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "worker/tokenizer/char_class.h"

namespace tidegate::worker {

// What the split patterns of several pre-tokenizers share. All of them return where a match ends, in bytes.

inline bool is_newline(std::uint32_t code_point) {
  return code_point == '\r' || code_point == '\n';
}

/// End of the run of characters from `at` on that match.
template <typename Predicate>
std::size_t run_end(std::string_view text, std::size_t at, Predicate matches) {
  while (at < text.size()) {
    const Char next = char_at(text, at);
    if (!matches(next)) break;
    at += next.bytes;
  }
  return at;
}

/// Whitespace at `at`, by the last three alternatives that DeepSeek-V3's and GPT-4's patterns have: up to the last line
/// break of the run if it has one; else the run without its last character, which joins the word that follows; else the
/// whole run.
inline std::size_t match_space(std::string_view text, std::size_t at) {
  std::size_t end = at;
  std::size_t after_newline = at;
  std::size_t last_char = at;
  while (end < text.size()) {
    const Char next = char_at(text, end);
    if (next.char_class != CharClass::kSpace) break;
    last_char = end;
    end += next.bytes;
    if (is_newline(next.code_point)) after_newline = end;
  }
  if (after_newline > at) return after_newline;
  if (end == text.size() || last_char == at) return end;
  return last_char;
}

/// Adds the piece [begin, end) unless it is empty.
inline void add_piece(std::vector<std::string_view>& pieces, std::string_view text, std::size_t begin, std::size_t end) {
  if (end > begin) pieces.push_back(text.substr(begin, end - begin));
}

}  // namespace tidegate::worker
