// The promise to clients and operators: an answer is masked, and cut, the same in whatever pieces it comes.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "base/core/random.h"
#include "gateway/guard/stream_window.h"
#include "tests/unit/gateway/guard/guard_world.h"

namespace tidegate::gateway::test::stream_split_test {
namespace {

using enum GuardAction;

struct Streamed {
  std::string text;
  std::string denied_by;
  std::size_t held_max = 0;  ///< bytes left undecided after a piece
  bool operator==(const Streamed& other) const { return text == other.text && denied_by == other.denied_by; }
};
void PrintTo(const Streamed& streamed, std::ostream* out) { *out << streamed.text << " | " << streamed.denied_by; }

Streamed stream(const RuleBook& book, const std::vector<std::string>& pieces) {
  const GuardSubject subject = subject_of();
  StreamWindow window(book.window_bytes());
  Streamed out;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    window.append(pieces[i]);
    const GuardText text = window.view("answer", i + 1 == pieces.size());
    const GuardCheck check{subject, GuardDirection::kOutput, {text}, book.window_bytes()};
    const GuardVerdict verdict = book.judge(check);
    const Status fits = check_verdict(verdict, check);
    if (!fits) ADD_FAILURE() << fits.error().to_string();
    out.text += decided_text(verdict, 0, text.piece());
    const std::size_t held = text.piece().size() - verdict.decided.at(0);
    window.advance(verdict.decided.at(0));
    if (verdict.denial) {
      out.denied_by = verdict.denial->category;
      return out;
    }
    out.held_max = std::max(out.held_max, held);
  }
  return out;
}

/// Cut between characters, at random; some pieces are empty.
std::vector<std::string> split(const std::string& text, Rng& rng, std::uint64_t longest) {
  std::vector<std::string> pieces;
  for (std::size_t at = 0; at < text.size();) {
    std::string piece;
    for (std::uint64_t n = rng.below(longest + 1); n > 0 && at < text.size(); --n) {
      const std::size_t next = next_character(text, at);
      piece += text.substr(at, next - at);
      at = next;
    }
    pieces.push_back(std::move(piece));
  }
  if (pieces.empty()) pieces.emplace_back();
  return pieces;
}

std::string random_text(const std::vector<std::string>& words, std::size_t count, Rng& rng) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += words[rng.below(words.size())];
  return text;
}

/// Texts made of `words`, split in many ways: always what one piece gives.
void expect_same_in_any_pieces(const RuleBook& book, const std::vector<std::string>& words, std::uint64_t seed,
                               std::size_t held_most) {
  Rng rng(seed);
  int masked = 0, denied = 0;
  for (int round = 0; round < 300; ++round) {
    const std::string text = random_text(words, rng.below(24), rng);
    const Streamed whole = stream(book, {text});
    masked += whole.text.find('[') != std::string::npos ? 1 : 0;
    denied += whole.denied_by.empty() ? 0 : 1;
    for (const std::uint64_t longest : {1U, 2U, 5U, 40U}) {
      const Streamed pieces = stream(book, split(text, rng, longest));
      ASSERT_EQ(pieces, whole) << "text '" << text << "' in pieces of up to " << longest;
      ASSERT_LE(pieces.held_max, held_most) << text;
    }
  }
  EXPECT_GT(masked + denied, 50) << "or the texts say nothing";
}

TEST(StreamSplit, PersonalDataInAnyPieces) {
  std::vector<GuardRule> rules;
  for (const char* kind : {"email", "phone", "cn_id", "card", "iban", "ip", "api_key"}) {
    rules.push_back(pii_rule(kind, kind, kMask));
  }
  const std::vector<std::string> words = {"li.wei@mail.example.com", "a@b.cn",  "4111 1111 1111 1111", "13812345678",
                                          "+14155552671",            "110105",  "11010519491231002X",  "203.0.113.7",
                                          "2001:db8::1",             "DE89 3704 0044 0532 0130 00",    " ",
                                          "，",                      "月",      "x",                   "7",
                                          "-",                       ".",       "@",                   ": "};
  expect_same_in_any_pieces(book_of(std::move(rules)), words, 1, 3 * 512);
}

TEST(StreamSplit, RulesThatOverlapAndDenyInAnyPieces) {
  const RuleBook book = book_of({rule_of("one", "ab{1,3}a", kMask), rule_of("two", "(?:ba){2}", kMask),
                                 rule_of("word", R"(\bab\b)", kMask), rule_of("moon", "月a{0,2}月", kMask),
                                 rule_of("stop", "abba月", kDeny), rule_of("halt", "bbbbb", kDeny)},
                                64);
  expect_same_in_any_pieces(book, {"a", "b", "月", " "}, 2, 3 * 64);
  expect_same_in_any_pieces(book, {"ab", "ba", "b", "a", " ", "月", "cc"}, 3, 3 * 64);
}

/// Matches that join without end: a region closes at a window's length, at the same place in any pieces.
TEST(StreamSplit, AChainOfMatchesLongerThanTheWindowInAnyPieces) {
  const RuleBook book = book_of({rule_of("one", "a{2}b{1,9}a{2}", kMask), rule_of("two", "b[ab]{10,20}b", kMask),
                                 rule_of("stop", "bbabb", kDeny)},
                                64);
  expect_same_in_any_pieces(book, {"aabbaa", "bbbaab", "aab", "bb", "aa", "c"}, 4, 3 * 64);
}

TEST(StreamSplit, TextThatNoRuleCanMatchDoesNotWait) {
  const RuleBook book = book_of({pii_rule("card", "card", kMask), rule_of("moon", "moonlight", kMask)});
  EXPECT_EQ(stream(book, {"明月", "光，", "疑是", ""}).held_max, 0U);
  EXPECT_EQ(stream(book, {"a moon", "beam", ""}).held_max, 4U) << "moon waits for what follows";
}

TEST(StreamWindow, KeepsAWindowOfContextAndCountsFromTheBeginning) {
  StreamWindow window(8);
  std::string all;
  for (int i = 0; i < 50; ++i) {
    window.append("月光");
    all += "月光";
    EXPECT_EQ(window.view("answer", false).piece(), "月光");
    EXPECT_TRUE(all.ends_with(window.view("answer", false).all)) << i;
    EXPECT_LE(window.view("answer", false).origin, 16U);
    window.advance(6);
    EXPECT_EQ(window.decided(), all.size());
    EXPECT_EQ(window.appended(), all.size());
    EXPECT_FALSE(window.has_undecided());
  }
  EXPECT_GE(window.view("answer", false).context().size(), 6U);
  window.clear();
  EXPECT_EQ(window.appended(), 0U);
}

}  // namespace
}  // namespace tidegate::gateway::test::stream_split_test
