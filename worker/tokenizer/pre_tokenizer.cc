#include "worker/tokenizer/pre_tokenizer.h"

#include "worker/tokenizer/char_runs.h"
#include "worker/tokenizer/deepseek_llm_split.h"
#include "worker/tokenizer/gpt4_split.h"

namespace tidegate::worker {
namespace {

constexpr std::uint32_t kDigitsPerPiece = 3;

bool is_cjk(std::uint32_t code_point) {
  return (code_point >= 0x4E00 && code_point <= 0x9FA5) || (code_point >= 0x3040 && code_point <= 0x30FF);
}

bool is_ascii_punct(std::uint32_t code_point) {
  return (code_point >= '!' && code_point <= '/') || (code_point >= ':' && code_point <= '@') ||
         (code_point >= '[' && code_point <= '`') || (code_point >= '{' && code_point <= '~');
}

bool is_ascii_letter(std::uint32_t code_point) {
  return (code_point >= 'a' && code_point <= 'z') || (code_point >= 'A' && code_point <= 'Z');
}

bool is_letter_or_mark(CharClass value) {
  return value == CharClass::kLetter || value == CharClass::kMark;
}
bool is_punct_or_symbol(CharClass value) {
  return value == CharClass::kPunct || value == CharClass::kSymbol;
}

// End of the third split's match at `at`, or `at` if none of its alternatives matches there. In order: one
// ASCII punctuation mark and ASCII letters | optional one char (not CR, LF, L, P, S) and a run of L or M |
// optional space, a run of P or S, then CR or LF | whitespace.
std::size_t match_word(std::string_view text, std::size_t at) {
  const Char first = char_at(text, at);
  const std::size_t second = at + first.bytes;
  const auto letters = [](const Char& c) { return is_letter_or_mark(c.char_class); };
  const auto puncts = [](const Char& c) { return is_punct_or_symbol(c.char_class); };
  const auto newlines = [](const Char& c) { return is_newline(c.code_point); };

  if (is_ascii_punct(first.code_point)) {
    const std::size_t end =
        run_end(text, second, [](const Char& c) { return is_ascii_letter(c.code_point); });
    if (end > second) return end;
  }
  if (is_letter_or_mark(first.char_class)) return run_end(text, second, letters);
  const bool may_lead = !is_newline(first.code_point) && !is_punct_or_symbol(first.char_class);
  if (may_lead) {
    const std::size_t end = run_end(text, second, letters);
    if (end > second) return end;
  }
  if (is_punct_or_symbol(first.char_class)) return run_end(text, run_end(text, second, puncts), newlines);
  if (first.code_point == ' ') {
    const std::size_t end = run_end(text, second, puncts);
    if (end > second) return run_end(text, end, newlines);
  }
  return first.char_class == CharClass::kSpace ? match_space(text, at) : at;
}

// Third split. What lies between matches is a piece of its own.
void split_words(std::string_view text, std::vector<std::string_view>& pieces) {
  std::size_t gap = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = match_word(text, at);
    if (end == at) {
      at += char_at(text, at).bytes;
      continue;
    }
    add_piece(pieces, text, gap, at);
    add_piece(pieces, text, at, end);
    gap = at = end;
  }
  add_piece(pieces, text, gap, at);
}

// Second split: runs of CJK characters stand alone, and each part goes through the third split by itself.
void split_cjk(std::string_view text, std::vector<std::string_view>& pieces) {
  std::size_t at = 0;
  while (at < text.size()) {
    const bool cjk = is_cjk(char_at(text, at).code_point);
    const std::size_t end = run_end(text, at, [cjk](const Char& c) { return is_cjk(c.code_point) == cjk; });
    split_words(text.substr(at, end - at), pieces);
    at = end;
  }
}

// First split: numbers in groups of one to three. No later pattern matches inside a group, so it is final.
void split_deepseek_v3(std::string_view text, std::vector<std::string_view>& pieces) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto number = [](const Char& c) { return c.char_class == CharClass::kNumber; };
    const std::size_t words_end = run_end(text, at, [&](const Char& c) { return !number(c); });
    split_cjk(text.substr(at, words_end - at), pieces);
    at = words_end;
    std::uint32_t digits = 0;
    const std::size_t end =
        run_end(text, at, [&](const Char& c) { return number(c) && digits++ < kDigitsPerPiece; });
    add_piece(pieces, text, at, end);
    at = end;
  }
}

}  // namespace

std::vector<std::string_view> split_pieces(PreTokenizerKind kind, std::string_view text) {
  std::vector<std::string_view> pieces;
  pieces.reserve(text.size() / 4 + 1);
  switch (kind) {
    case PreTokenizerKind::kDeepseekV3:
      split_deepseek_v3(text, pieces);
      break;
    case PreTokenizerKind::kQwen2:
      split_gpt4(text, 1, pieces);
      break;
    case PreTokenizerKind::kLlama3:
      split_gpt4(text, 3, pieces);
      break;
    case PreTokenizerKind::kDeepseekLlm:
      split_deepseek_llm(text, DigitPieces::kRuns, pieces);
      break;
    case PreTokenizerKind::kDeepseekLlmSingleDigits:
      split_deepseek_llm(text, DigitPieces::kSingle, pieces);
      break;
    case PreTokenizerKind::kDeepseekCoder:
      split_deepseek_coder(text, pieces);
      break;
  }
  return pieces;
}

}  // namespace tidegate::worker
