#include "worker/engine/stop_matcher.h"

#include <gtest/gtest.h>

#include "base/core/encoding.h"
#include "base/core/random.h"

namespace tidegate::worker {
namespace {

TEST(StopMatcher, HoldsAPossibleStopBackUntilItIsDecided) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.feed("abcE"), "abc");
  EXPECT_EQ(matcher.feed("N"), "");
  EXPECT_EQ(matcher.feed("x"), "ENx");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcher, NeverShowsTheStopString) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.feed("abcEN"), "abc");
  EXPECT_EQ(matcher.feed("D and more"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.feed("again"), "");
}

TEST(StopMatcher, GivesBackWhatWasHeldAtTheEnd) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.feed("abcEN"), "abc");
  EXPECT_EQ(matcher.finish(), "EN");
}

TEST(StopMatcher, SeesAStopInsideAFalseStart) {
  StopMatcher matcher({"aab"});
  EXPECT_EQ(matcher.feed("aaab"), "a");
  EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, TheStopThatIsCompleteFirstWins) {
  StopMatcher matcher({"abcd", "bc"});
  EXPECT_EQ(matcher.feed("xabcd"), "xa");
  StopMatcher longest({"c", "bc"});
  EXPECT_EQ(longest.feed("abc"), "a");
}

TEST(StopMatcher, NamesTheStopThatEndedTheText) {
  StopMatcher matcher({"c", "bc", "x"});
  EXPECT_EQ(matcher.stop_text(), "");
  matcher.feed("a");
  EXPECT_EQ(matcher.stop_text(), "");
  matcher.feed("bcx");
  EXPECT_EQ(matcher.stop_text(), "bc") << "the longest of those that end together; nothing after it counts";
}

TEST(StopMatcher, ChunkingNeverChangesTheText) {
  Rng rng(5);
  const std::vector<std::string> stops = {"月。", "abab", "ba\n"};
  const std::vector<std::string> alphabet = {"a", "b", "\n", "月", "。", "c"};
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> characters;
    std::string text;
    for (std::uint64_t n = rng.below(20); n > 0; --n)
      text += characters.emplace_back(alphabet[rng.below(alphabet.size())]);
    StopMatcher whole(stops);
    std::string expected = whole.feed(text);
    expected += whole.finish();
    StopMatcher pieces(stops);
    std::string joined;
    for (const std::string& character : characters) {
      const std::string shown = pieces.feed(character);
      EXPECT_TRUE(is_valid_utf8(shown));
      joined += shown;
    }
    joined += pieces.finish();
    EXPECT_EQ(joined, expected) << text;
    EXPECT_EQ(pieces.stopped(), whole.stopped());
    for (const std::string& stop : stops) EXPECT_EQ(joined.find(stop), std::string::npos);
  }
}

}  // namespace
}  // namespace tidegate::worker
