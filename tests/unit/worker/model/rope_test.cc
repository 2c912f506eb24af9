#include "worker/model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tidegate::worker {
namespace {

/// The released V3: rope 64, theta 1e4, factor 40 of 4096.
ModelSpec v3() {
  ModelSpec spec;
  spec.nope_dim = 128;
  spec.rope_dim = 64;
  spec.rope_theta = 10000;
  spec.yarn = YarnScaling{.factor = 40, .mscale = 1, .mscale_all_dim = 1, .original_context = 4096};
  return spec;
}

double plain(int pair) {
  return std::pow(10000.0, -2.0 * pair / 64);
}

TEST(Yarn, ScaleOfTheReleasedModels) {
  EXPECT_NEAR(yarn_mscale(40, 1), 1.368888, 1e-6);
  EXPECT_NEAR(v3().softmax_scale(), 0.1352338, 1e-7);
  ModelSpec lite = v3();
  lite.yarn->mscale = lite.yarn->mscale_all_dim = 0.707;
  EXPECT_NEAR(lite.softmax_scale(), 0.1147214, 1e-7);
  EXPECT_DOUBLE_EQ(rope_multiplier(lite), 1) << "mscale and mscale_all_dim cancel in every released model";
}

TEST(Yarn, WithoutExtensionNothingIsScaled) {
  ModelSpec spec = v3();
  spec.yarn.reset();
  EXPECT_NEAR(spec.softmax_scale(), 1 / std::sqrt(192.0), 1e-15);
  EXPECT_DOUBLE_EQ(rope_frequencies(spec)[7], plain(7));
}

/// Bounds 10 and 23: pairs up to 10 keep their frequency, from 23 on they are 40 times slower, between is a
/// ramp.
TEST(Yarn, RampRunsBetweenTheRoundedBounds) {
  const auto frequencies = rope_frequencies(v3());
  ASSERT_EQ(frequencies.size(), 32u);
  for (int pair = 0; pair <= 10; ++pair)
    EXPECT_DOUBLE_EQ(frequencies[static_cast<std::size_t>(pair)], plain(pair)) << pair;
  for (int pair = 23; pair < 32; ++pair) {
    EXPECT_DOUBLE_EQ(frequencies[static_cast<std::size_t>(pair)], plain(pair) / 40) << pair;
  }
  const double slowed = (17.0 - 10) / 13;
  EXPECT_NEAR(frequencies[17], plain(17) * (1 - slowed) + plain(17) / 40 * slowed, 1e-18);
}

/// The two mutations of the table whose golden is V2-Lite: both bounds are fractional in these numbers, so
/// rounding them otherwise must move frequencies.
TEST(Yarn, RoundingOfTheBoundsMatters) {
  const auto right = rope_frequencies(v3());
  for (const YarnBounds wrong : {YarnBounds::kUpperFloored, YarnBounds::kLowerUnrounded}) {
    ModelSpec spec = v3();
    spec.formulas.rope.bounds = wrong;
    double worst = 0;
    const auto frequencies = rope_frequencies(spec);
    for (std::size_t i = 0; i < right.size(); ++i)
      worst = std::max(worst, std::abs(frequencies[i] / right[i] - 1));
    EXPECT_GT(worst, 0.01);
  }
}

/// Llama 3.1: 128-wide heads, theta 5e5, factor 8 of 8192.
ModelSpec llama31() {
  ModelSpec spec;
  spec.rope_dim = 128;
  spec.rope_theta = 500000;
  spec.llama3 = Llama3Scaling{.factor = 8, .original_context = 8192};
  return spec;
}

TEST(Llama3Rope, ShortWavesAreKeptAndLongOnesSlowed) {
  const auto scaled = rope_frequencies(llama31());
  ModelSpec spec = llama31();
  spec.llama3.reset();
  const auto unscaled = rope_frequencies(spec);
  ASSERT_EQ(scaled.size(), 64u);
  int kept = 0;
  int divided = 0;
  for (std::size_t i = 0; i < scaled.size(); ++i) {
    const double turns = 8192 * unscaled[i] / (2 * 3.14159265358979);
    if (turns >= 4) {
      EXPECT_DOUBLE_EQ(scaled[i], unscaled[i]) << i;
      ++kept;
    } else if (turns <= 1) {
      EXPECT_DOUBLE_EQ(scaled[i], unscaled[i] / 8) << i;
      ++divided;
    } else {
      EXPECT_LT(scaled[i], unscaled[i]) << i;
      EXPECT_GT(scaled[i], unscaled[i] / 8) << i;
    }
  }
  EXPECT_GT(kept, 20);
  EXPECT_GT(divided, 20);
  EXPECT_LT(kept + divided, 64) << "between lies a ramp";
}

TEST(RopeDivisors, ReplaceAScalingRule) {
  ModelSpec spec = llama31();
  const auto by_rule = rope_frequencies(spec);
  spec.llama3.reset();
  const auto unscaled = rope_frequencies(spec);
  for (std::size_t i = 0; i < unscaled.size(); ++i) {
    spec.rope_divisors.push_back(static_cast<float>(unscaled[i] / by_rule[i]));
  }
  const auto by_divisors = rope_frequencies(spec);
  for (std::size_t i = 0; i < unscaled.size(); ++i) EXPECT_NEAR(by_divisors[i] / by_rule[i], 1, 1e-7) << i;
}

TEST(Yarn, EqualBoundsMakeAStepNotADivisionByZero) {
  ModelSpec spec = v3();
  spec.yarn->beta_fast = spec.yarn->beta_slow = 1;
  for (const double frequency : rope_frequencies(spec)) EXPECT_TRUE(std::isfinite(frequency));
}

}  // namespace
}  // namespace tidegate::worker
