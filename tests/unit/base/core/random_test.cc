#include "base/core/random.h"

#include <gtest/gtest.h>

namespace tidegate {
namespace {

TEST(Rng, OneSeedIsOneSequence) {
  Rng a(7), b(7), c(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const auto value = a.next();
    EXPECT_EQ(value, b.next());
    differs = differs || value != c.next();
  }
  EXPECT_TRUE(differs);
}

TEST(Rng, BelowIsUniformAndInRange) {
  Rng rng(1);
  int counts[10] = {};
  for (int i = 0; i < 100'000; ++i) {
    const auto value = rng.below(10);
    ASSERT_LT(value, 10U);
    ++counts[value];
  }
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);  // over five standard deviations
  EXPECT_EQ(rng.below(1), 0U);
}

TEST(Rng, UnitIsInItsHalfOpenInterval) {
  Rng rng(2);
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double value = rng.unit();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.005);
}

}  // namespace
}  // namespace tidegate
