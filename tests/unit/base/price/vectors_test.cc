#include "base/price/vectors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/unit/base/price/naive_rater.h"

namespace tidegate::price {
namespace {

std::string vectors_text() {
  std::ifstream file(TG_SOURCE_DIR "/tests/golden/rating-vectors.json");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

VectorReport run(Mistake mistake) {
  NaiveRater rater(mistake);
  const auto report = run_vectors(vectors_text(), rater);
  EXPECT_TRUE(report) << report.error().to_string();
  return report.value_or(VectorReport{});
}

TEST(RatingVectors, AllThatConcernASingleRequestPass) {
  const auto report = run_vectors(vectors_text());
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->passed, 55) << report->to_text();
  EXPECT_EQ(report->failed, 0) << report->to_text();
  const std::map<std::string, int> of_billing = {{"dedupe", 1}, {"grant", 3},  {"hold", 1},
                                                 {"late", 1},   {"rerate", 1}, {"tier", 4}};
  EXPECT_EQ(report->skipped, of_billing);
}

TEST(RatingVectors, ASecondImplementationAgrees) {
  const auto report = run(Mistake::kNone);
  EXPECT_EQ(report.failed, 0) << report.to_text();
}

TEST(RatingVectors, ReportNamesTheVectorAndTheDifference) {
  const auto report = run(Mistake::kEffectiveToInclusive);
  ASSERT_FALSE(report.failures.empty());
  EXPECT_EQ(report.failures.front(),
            "RV-002 V3 list price, first instant: price book is ds-v3-promo, expected ds-v3-flat");
  EXPECT_TRUE(report.to_text().ends_with(" failed\n"));
}

class EveryMistake : public testing::TestWithParam<Mistake> {};

TEST_P(EveryMistake, IsNoticed) {
  const int failed = run(GetParam()).failed;
  fmt::print("[ mutant   ] {}: {} vectors fail\n", mistake_name(GetParam()), failed);
  EXPECT_GT(failed, 0);
}

INSTANTIATE_TEST_SUITE_P(
    RatingVectors, EveryMistake,
    testing::Values(Mistake::kEffectiveToInclusive, Mistake::kWindowEndInclusive, Mistake::kStartDecides,
                    Mistake::kLatestBookForAll, Mistake::kNoWeekdays, Mistake::kNoHolidays,
                    Mistake::kDateFromUtc, Mistake::kWholeHours, Mistake::kNoWrap,
                    Mistake::kWrapBelongsToEndDay, Mistake::kFixedOffset, Mistake::kMultiplier,
                    Mistake::kYuanFromDollars, Mistake::kNanoLedger, Mistake::kDoubles,
                    Mistake::kDoubleModifiers, Mistake::kTruncatedModifiers, Mistake::kFirstModifierOnly,
                    Mistake::kTierByMissesOnly, Mistake::kTierForTheRestOnly, Mistake::kMinimumForNothing,
                    Mistake::kErrorTwiceAsWide, Mistake::kHoldAtAdmissionPrice, Mistake::kUncheckedCounts));

TEST(RatingVectors, AFileThatIsNotJsonIsAnError) { EXPECT_FALSE(run_vectors("{")); }

}  // namespace
}  // namespace tidegate::price
