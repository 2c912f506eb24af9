#include "worker/tokenizer/gpt4_split.h"

#include "worker/tokenizer/char_runs.h"

namespace tidegate::worker {
namespace {

bool is_letter(const Char& c) { return c.char_class == CharClass::kLetter; }
bool is_number(const Char& c) { return c.char_class == CharClass::kNumber; }
bool is_rest(const Char& c) { return c.char_class != CharClass::kSpace && !is_letter(c) && !is_number(c); }

char32_t lower(std::uint32_t code_point) {
  constexpr std::uint32_t kLongS = 0x17F;  // folds to s, and the patterns ignore case by Unicode's folding
  if (code_point == kLongS) return U's';
  return code_point >= 'A' && code_point <= 'Z' ? code_point + ('a' - 'A') : code_point;
}

/// 's 't 're 've 'm 'll 'd at `at`, which is an apostrophe; `at` if there is none.
std::size_t match_contraction(std::string_view text, std::size_t at) {
  const std::size_t after = at + 1;
  if (after >= text.size()) return at;
  const Char first = char_at(text, after);
  const std::size_t end = after + first.bytes;
  switch (lower(first.code_point)) {
    case U's':
    case U't':
    case U'm':
    case U'd':
      return end;
    case U'r':
    case U'v':
      return end < text.size() && lower(char_at(text, end).code_point) == U'e' ? end + 1 : at;
    case U'l':
      return end < text.size() && lower(char_at(text, end).code_point) == U'l' ? end + 1 : at;
    default:
      return at;
  }
}

std::size_t match_piece(std::string_view text, std::size_t at, std::uint32_t digits_max) {
  const Char first = char_at(text, at);
  const std::size_t second = at + first.bytes;
  if (first.code_point == '\'') {
    const std::size_t end = match_contraction(text, at);
    if (end > at) return end;
  }
  if (is_letter(first)) return run_end(text, second, is_letter);
  if (is_number(first)) {
    std::uint32_t digits = 0;
    return run_end(text, at, [&](const Char& c) { return is_number(c) && digits++ < digits_max; });
  }
  if (!is_newline(first.code_point)) {
    const std::size_t end = run_end(text, second, is_letter);
    if (end > second) return end;
  }
  const bool spaced = first.code_point == ' ';
  if (spaced || is_rest(first)) {
    const std::size_t end = run_end(text, second, is_rest);
    if (!spaced || end > second) return run_end(text, end, [](const Char& c) { return is_newline(c.code_point); });
  }
  return match_space(text, at);
}

}  // namespace

void split_gpt4(std::string_view text, std::uint32_t digits_max, std::vector<std::string_view>& pieces) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = match_piece(text, at, digits_max);
    add_piece(pieces, text, at, end);
    at = end;
  }
}

}  // namespace tidegate::worker
