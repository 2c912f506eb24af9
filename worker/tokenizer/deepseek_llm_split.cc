#include "worker/tokenizer/deepseek_llm_split.h"

#include <algorithm>
#include <array>
#include <utility>

#include "worker/tokenizer/char_runs.h"
#include "worker/tokenizer/split_patterns.h"

namespace tidegate::worker {
namespace {

/// The inside of a bracketed class: characters and ranges "a-b".
class CharSet {
 public:
  explicit CharSet(std::string_view spelled) {
    for (std::size_t at = 0; at < spelled.size();) {
      const Char first = char_at(spelled, at);
      at += first.bytes;
      std::uint32_t last = first.code_point;
      if (at < spelled.size() && spelled[at] == '-') {
        const Char end = char_at(spelled, at + 1);
        last = end.code_point;
        at += 1 + end.bytes;
      }
      ranges_.emplace_back(first.code_point, last);
    }
    std::ranges::sort(ranges_);
    for (std::uint32_t code = 0; code < ascii_.size(); ++code) ascii_[code] = search(code);
  }

  [[nodiscard]] bool contains(std::uint32_t code) const { return code < ascii_.size() ? ascii_[code] : search(code); }

 private:
  [[nodiscard]] bool search(std::uint32_t code) const {
    const auto after = std::ranges::upper_bound(ranges_, code, {}, &std::pair<std::uint32_t, std::uint32_t>::first);
    return after != ranges_.begin() && code <= (after - 1)->second;
  }

  std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges_;  ///< sorted, disjoint but for shared ends
  std::array<bool, 128> ascii_{};
};

bool is_space(const Char& c) { return c.char_class == CharClass::kSpace; }

/// Cuts every piece at the matches of `match(text, at)`, which returns the end of the match or `at`.
template <typename Match>
void split_all(std::vector<std::string_view>& pieces, Match match) {
  std::vector<std::string_view> next;
  next.reserve(pieces.size() * 2);
  for (const std::string_view text : pieces) {
    std::size_t gap = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = match(text, at);
      if (end == at) {
        at += char_at(text, at).bytes;
        continue;
      }
      add_piece(next, text, gap, at);
      add_piece(next, text, at, end);
      gap = at = end;
    }
    add_piece(next, text, gap, text.size());
  }
  pieces = std::move(next);
}

/// \s?[class]+
template <typename Member>
void split_members(std::vector<std::string_view>& pieces, Member is_member) {
  split_all(pieces, [&](std::string_view text, std::size_t at) {
    const Char first = char_at(text, at);
    if (is_space(first)) {
      const std::size_t word = at + first.bytes;
      const std::size_t end = run_end(text, word, is_member);
      if (end > word) return end;
    }
    return run_end(text, at, is_member);
  });
}

/// [class]+
template <typename Member>
void split_runs(std::vector<std::string_view>& pieces, Member is_member) {
  split_all(pieces, [&](std::string_view text, std::size_t at) { return run_end(text, at, is_member); });
}

/// [class]
template <typename Member>
void split_single(std::vector<std::string_view>& pieces, Member is_member) {
  split_all(pieces, [&](std::string_view text, std::size_t at) {
    const Char first = char_at(text, at);
    return is_member(first) ? at + first.bytes : at;
  });
}

/// \s+$, by one pass: trying it at every space of a long run would be quadratic.
void split_last_space(std::vector<std::string_view>& pieces) {
  std::vector<std::string_view> next;
  next.reserve(pieces.size() + 1);
  for (const std::string_view text : pieces) {
    std::size_t space = 0;  // where the whitespace run that reaches here began
    for (std::size_t at = 0; at < text.size();) {
      const Char c = char_at(text, at);
      at += c.bytes;
      if (!is_space(c)) space = at;
    }
    add_piece(next, text, 0, space);
    add_piece(next, text, space, text.size());
  }
  pieces = std::move(next);
}

bool is_line_break(const Char& c) { return is_newline(c.code_point); }
bool is_llm_number(const Char& c) { return c.char_class == CharClass::kNumber; }

bool is_llm_cjk(const Char& c) {
  static const CharSet set(kDeepseekLlmCjk);
  return set.contains(c.code_point);
}

}  // namespace

void split_deepseek_llm(std::string_view text, DigitPieces digits, std::vector<std::string_view>& pieces) {
  static const CharSet letters(kDeepseekLlmLetters);
  static const CharSet puncts(kDeepseekLlmPuncts);
  add_piece(pieces, text, 0, text.size());
  split_single(pieces, is_line_break);
  split_members(pieces, [](const Char& c) { return letters.contains(c.code_point); });
  split_members(pieces, [](const Char& c) { return puncts.contains(c.code_point); });
  split_last_space(pieces);
  split_runs(pieces, is_llm_cjk);
  switch (digits) {
    case DigitPieces::kRuns:
      split_runs(pieces, is_llm_number);
      break;
    case DigitPieces::kSingle:
      split_single(pieces, is_llm_number);
      break;
  }
}

void split_deepseek_coder(std::string_view text, std::vector<std::string_view>& pieces) {
  add_piece(pieces, text, 0, text.size());
  split_single(pieces, is_line_break);
  split_members(pieces, [](const Char& c) { return c.char_class == CharClass::kLetter; });
  split_members(pieces, [](const Char& c) { return c.char_class == CharClass::kPunct; });
  split_runs(pieces, is_llm_cjk);
  split_single(pieces, is_llm_number);
}

}  // namespace tidegate::worker
