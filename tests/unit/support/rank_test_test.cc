#include "tests/support/rank_test.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "base/core/random.h"

namespace tidegate::test::rank_test_test {
namespace {

std::vector<double> drawn(Rng& rng, std::size_t count, double shift) {
  std::vector<double> out;
  for (std::size_t n = 0; n < count; ++n) out.push_back(rng.unit() + shift);
  return out;
}

TEST(MannWhitney, SamplesThatDoNotMeetHaveTheValueOfTheFormula) {
  const std::vector<double> low = {1, 2, 3, 4, 5}, high = {6, 7, 8, 9, 10};
  // U = 0; z = (12.5 - 0.5) / sqrt(25 * 11 / 12).
  EXPECT_NEAR(mann_whitney_p(low, high), 0.012186, 1e-5);
  EXPECT_EQ(mann_whitney_p(low, high), mann_whitney_p(high, low)) << "both sides";
}

// Of Hollander and Wolfe, Nonparametric Statistical Methods: permeability at term and at 12 to 26 weeks.
TEST(MannWhitney, ASampleOfTheLiteratureHasItsStatistic) {
  const std::vector<double> term = {0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
  const std::vector<double> weeks = {1.15, 0.88, 0.90, 0.74, 1.21};
  // U = 35 of 50; z = (10 - 0.5) / sqrt(50 * 16 / 12).
  EXPECT_NEAR(mann_whitney_p(term, weeks), 0.2446, 1e-3);
}

TEST(MannWhitney, EqualSamplesDoNotDiffer) {
  const std::vector<double> same(20, 3.0), mixed = {1, 2, 2, 3, 4, 4, 4, 5, 9};
  EXPECT_EQ(mann_whitney_p(same, same), 1);
  EXPECT_GT(mann_whitney_p(mixed, mixed), 0.99);
  EXPECT_EQ(mann_whitney_p(mixed, {}), 1);
}

TEST(MannWhitney, ADifferenceIsSeen) {
  Rng rng(1);
  const auto a = drawn(rng, 200, 0), b = drawn(rng, 200, 0.3);
  EXPECT_LT(mann_whitney_p(a, b), 1e-6);
}

// The claim that makes "p > 0.05" mean something: without a difference it is below 0.05 about once in twenty.
TEST(MannWhitney, WithoutADifferenceOneInTwentyIsBelowOneTwentieth) {
  int below = 0;
  constexpr int kDraws = 2'000;
  for (std::uint64_t seed = 1; seed <= kDraws; ++seed) {
    Rng rng(seed);
    const auto a = drawn(rng, 30, 0), b = drawn(rng, 40, 0);
    below += mann_whitney_p(a, b) < 0.05 ? 1 : 0;
  }
  EXPECT_GT(below, kDraws / 40);
  EXPECT_LT(below, kDraws / 13);
}

}  // namespace
}  // namespace tidegate::test::rank_test_test
