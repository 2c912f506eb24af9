#include "gateway/guard/guard_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/gateway/guard/guard_world.h"

namespace tidegate::gateway::test {
namespace {

/// Verdicts on the piece "月光ab", 8 bytes, of a text that goes on unless said otherwise.
struct Case {
  const char* what;
  GuardVerdict verdict;
  bool fits;
  bool is_last = false;
};

TEST(GuardText, AVerdictThatDoesNotFitIsRefused) {
  GuardDenial denial;
  GuardDenial far = denial;
  far.text = 1;
  const std::vector<Case> cases = {
      {"all of it", {{}, {8}, {}, {}}, true},
      {"nothing yet", {{}, {0}, {}, {}}, true},
      {"nothing of a last piece", {{}, {0}, {}, {}}, false, true},
      {"nothing of a last piece, which is denied", {{}, {0}, denial, {}}, true, true},
      {"a denial of no text", {{}, {0}, far, {}}, false},
      {"no number", {{}, {}, {}, {}}, false},
      {"two numbers", {{}, {8, 8}, {}, {}}, false},
      {"more than was shown", {{}, {9}, {}, {}}, false},
      {"inside a character", {{}, {4}, {}, {}}, false},
      {"a span", {{{0, 3, 6, "[x]"}}, {8}, {}, {}}, true},
      {"two spans", {{{0, 0, 3, ""}, {0, 3, 6, "x"}}, {6}, {}, {}}, true},
      {"spans that overlap", {{{0, 0, 6, ""}, {0, 3, 6, "x"}}, {6}, {}, {}}, false},
      {"spans in the wrong order", {{{0, 3, 6, ""}, {0, 0, 3, "x"}}, {6}, {}, {}}, false},
      {"an empty span", {{{0, 3, 3, "x"}}, {8}, {}, {}}, false},
      {"a span inside a character", {{{0, 1, 3, "x"}}, {8}, {}, {}}, false},
      {"a span not decided", {{{0, 6, 8, "x"}}, {7}, {}, {}}, false},
      {"a span of no text", {{{1, 0, 3, "x"}}, {8}, {}, {}}, false},
      {"a long replacement", {{{0, 0, 3, std::string(200, 'x')}}, {8}, {}, {}}, false},
      {"a replacement of no text", {{{0, 0, 3, "\xff"}}, {8}, {}, {}}, false},
  };
  const GuardSubject subject = subject_of();
  for (const Case& one : cases) {
    GuardText text = whole_text("月光ab");
    text.is_last = one.is_last;
    const GuardCheck check{subject, GuardDirection::kOutput, {text}, 64};
    const Status fits = check_verdict(one.verdict, check);
    EXPECT_EQ(fits.has_value(), one.fits) << one.what;
    if (!fits) {
      EXPECT_EQ(fits.error().message.find("月"), std::string::npos) << "no text in a message";
    }
  }
}

TEST(GuardText, ThreeWindowsMayWaitAndNoMore) {
  const GuardSubject subject = subject_of();
  const std::string all(400, 'a');
  GuardText text = whole_text(all);
  text.is_last = false;
  const GuardCheck check{subject, GuardDirection::kOutput, {text}, 100};
  GuardVerdict verdict;
  verdict.decided = {100};
  EXPECT_TRUE(check_verdict(verdict, check));
  verdict.decided = {99};
  EXPECT_FALSE(check_verdict(verdict, check));
}

TEST(GuardText, EscapesOfPlainCharactersAreWrittenOut) {
  EXPECT_EQ(spelled_out(R"({"q":"\u0073ecret"})"), R"({"q":"secret"})");
  EXPECT_EQ(spelled_out(R"(\u00e9 \u6708 \ud83c\udf19 \/)"), "\xc3\xa9 \xe6\x9c\x88 \xf0\x9f\x8c\x99 /");
  for (const char* kept : {R"("\u0000\u001f\u0022\u005C")", R"("\\u0073")", R"("\n\"")", R"(\ud83c)", R"(\udf19)",
                           R"(\u00)", R"(\u-073)", "\\", ""}) {
    EXPECT_EQ(spelled_out(kept), kept);
  }
  EXPECT_EQ(spelled_out(R"(\ud83c\u0073)"), R"(\ud83cs)") << "half a pair is no character, what follows is one";
}

TEST(GuardText, SpansAreReplacedInTheirOwnText) {
  GuardVerdict verdict;
  verdict.spans = {{0, 0, 1, "[a]"}, {1, 1, 2, "[b]"}, {1, 3, 4, ""}};
  verdict.decided = {2, 5};
  EXPECT_EQ(decided_text(verdict, 0, "xyz"), "[a]y");
  EXPECT_EQ(decided_text(verdict, 1, "12345"), "1[b]35");
}

}  // namespace
}  // namespace tidegate::gateway::test
