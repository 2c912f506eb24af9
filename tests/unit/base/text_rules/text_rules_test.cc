#include "base/text_rules/text_rules.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "base/core/random.h"

namespace tidegate {
namespace {

TextRules rules(std::vector<std::string> patterns) {
  auto compiled = TextRules::compile(patterns);
  if (!compiled) throw std::runtime_error(compiled.error().to_string());
  return *std::move(compiled);
}

TEST(TextRules, OnePassTellsWhichMatch) {
  const TextRules all = rules({"moon", "sun", "[0-9]+"});
  EXPECT_EQ(all.which("the moon at 7"), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(all.which(""), (std::vector<bool>{false, false, false}));
  EXPECT_EQ(rules({}).which("anything").size(), 0U);
}

TEST(TextRules, FindsTheLeftmostFromAPlaceOnAndSeesWhatIsBeforeIt) {
  const TextRules all = rules({R"(\bcat\b)"});
  const std::string text = "concat cat";
  EXPECT_EQ(all.find(0, text, 0), (TextSpan{7, 10}));
  EXPECT_EQ(all.find(0, text, 3), (TextSpan{7, 10})) << "the n of con stands before";
  EXPECT_FALSE(all.find(0, text, 8));
  EXPECT_FALSE(all.find(0, text, 10));
}

TEST(TextRules, ABadPatternIsNamedByItsPlace) {
  for (const char* pattern : {"a(", "", "a*", R"(\1)", "(?=x)", R"(\Qa\E)"}) {
    const auto refused = TextRules::compile({"fine", pattern});
    ASSERT_FALSE(refused) << pattern;
    EXPECT_EQ(refused.error().reason, "bad_pattern");
    EXPECT_EQ(refused.error().field, "1") << pattern;
  }
  EXPECT_EQ(TextRules::compile({std::string(2'000, 'a')}).error().field, "0");
  EXPECT_FALSE(TextRules::compile(std::vector<std::string>(200, "a")));
}

TEST(TextRules, AnEndIsOpenWhileAMatchMayHaveBegun) {
  const TextRules all = rules({"moonlight", R"(\b[0-9]{3,5}\b)"});
  EXPECT_EQ(all.first_open("the moon", 0), 4U);
  EXPECT_EQ(all.first_open("the moons", 0), 9U) << "an s is no beginning, and it ends the one before";
  EXPECT_EQ(all.first_open("moonlight", 0), 0U) << "a match that could not grow is open until something follows";
  EXPECT_EQ(all.first_open("moonlight.", 0), 10U);
  EXPECT_EQ(all.first_open("at 123", 0), 3U);
  EXPECT_EQ(all.first_open("at 123 ", 0), 7U);
  EXPECT_EQ(all.first_open("at 123456", 0), 9U) << "too long, and no word boundary inside";
  EXPECT_EQ(all.first_open("moo moo", 1), 4U);
  EXPECT_EQ(all.first_open("", 0), 0U);
}

TEST(TextRules, AnOpenEndIsNeverLongerThanTheLongestMatch) {
  const TextRules all = rules({"a{1,8}", "(?:ab){2,3}"});
  const std::string text(100, 'a');
  EXPECT_GE(all.first_open(text, 0), text.size() - 8);
}

/// The promise of first_open(), over many patterns and random texts of their own letters: whatever match the whole text
/// has, no earlier end of it had passed the match's beginning.
TEST(TextRules, NoMatchEverBeginsBeforeAnOpenEnd) {
  const std::vector<std::string> patterns = {"abc",
                                             "a(?:b|bc)c",
                                             "a{2,4}b?",
                                             "a{2,4}?b",
                                             R"(\bab\b)",
                                             R"(\Bb\B)",
                                             "(?:a|ab)(?:c|bcd)",
                                             "a.c",
                                             "[^a]{2}a",
                                             "(?i)aB[c-d]",
                                             "(?:ab){2}",
                                             "(?:a{1,2}b{0,2}){1,3}c",
                                             "月a?月",
                                             "(?:(?:a|b){2}c){1,2}",
                                             R"([\w]{2}\s)",
                                             "a|bb|ccc",
                                             "a?b?c?d"};
  const std::vector<std::string> letters = {"a", "b", "c", "d", "A", " ", "月"};
  Rng rng(20'261'122);
  long matches = 0;
  for (const std::string& pattern : patterns) {
    const TextRules one = rules({pattern});
    for (int round = 0; round < 1'500; ++round) {
      std::string text;
      std::vector<std::size_t> ends{0};
      for (std::size_t n = 1 + rng.below(12); n > 0; --n) {
        text += letters[rng.below(letters.size())];
        ends.push_back(text.size());
      }
      for (std::size_t from = 0; from < text.size();) {
        const auto match = one.find(0, text, from);
        if (!match) break;
        ++matches;
        ASSERT_LE(match->end - match->begin, one.bytes_max(0)) << pattern << " in '" << text << "'";
        for (const std::size_t end : ends) {
          if (end <= match->begin || end > match->end) continue;
          const std::string known = text.substr(0, end);
          ASSERT_LE(one.first_open(known, from), match->begin) << pattern << " in '" << text << "' at " << end;
        }
        from = next_character(text, match->begin);
      }
    }
  }
  EXPECT_GT(matches, 3'000);
}

TEST(TextRules, CharactersAreStepsOfOneToFourBytes) {
  const std::string text = "a月😀b";
  EXPECT_EQ(next_character(text, 0), 1U);
  EXPECT_EQ(next_character(text, 1), 4U);
  EXPECT_EQ(next_character(text, 4), 8U);
  EXPECT_EQ(next_character(text, 8), 9U);
  EXPECT_EQ(next_character(text, 9), 9U);
}

}  // namespace
}  // namespace tidegate
