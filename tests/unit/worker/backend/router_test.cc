#include "worker/backend/cpu/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace tidegate::worker {
namespace {

using testing::ElementsAre;

struct Routed {
  std::vector<std::int32_t> experts;
  std::vector<float> weights;
};

Routed route(const MoeSpec& spec, std::vector<float> logits, std::vector<float> bias,
             const RouterFormulas& formulas = {}) {
  const Router router(spec, formulas, bias);
  Routed out{std::vector<std::int32_t>(static_cast<std::size_t>(spec.experts_per_token)),
             std::vector<float>(static_cast<std::size_t>(spec.experts_per_token))};
  router.route(logits, {out.experts, out.weights});
  return out;
}

float sigmoid(float x) {
  return 1 / (1 + std::exp(-x));
}

/// Four experts in two groups, the best group and its best two are used.
MoeSpec two_groups() {
  return {.experts = 4,
          .experts_per_token = 2,
          .groups = 2,
          .groups_kept = 1,
          .routed_scaling = 1,
          .renormalise = false};
}

TEST(Router, AGroupIsWorthItsTwoBestNotItsBest) {
  // Group 0 has the best single expert, group 1 the best pair.
  EXPECT_THAT(route(two_groups(), {3, -9, 1, 1}, {0, 0, 0, 0}).experts, ElementsAre(2, 3));
}

TEST(Router, ADroppedGroupNeverReturnsEvenWhenEveryChoiceIsNegative) {
  // Every biased score is negative, so experts masked with 0 would beat the kept ones.
  EXPECT_THAT(route(two_groups(), {0, 0, 1, 1}, {-2, -2, -2, -2}).experts, ElementsAre(2, 3));
}

TEST(Router, TheBiasChoosesButDoesNotWeigh) {
  const Routed routed = route(two_groups(), {0, 0, 1, 1}, {5, 4, 0, 0});
  EXPECT_THAT(routed.experts, ElementsAre(0, 1));
  EXPECT_THAT(routed.weights, ElementsAre(sigmoid(0), sigmoid(0)));
}

TEST(Router, EqualChoicesGoToTheLowerIndex) {
  MoeSpec spec = two_groups();
  EXPECT_THAT(route(spec, {1, 1, 1, 1}, {0, 0, 0, 0}).experts, ElementsAre(0, 1)) << "groups tie as well";
  spec.groups = 1;
  EXPECT_THAT(route(spec, {0, 2, 2, 2}, {0, 0, 0, 0}).experts, ElementsAre(1, 2));
}

TEST(Router, WeightsAreRenormalisedThenScaled) {
  MoeSpec spec = two_groups();
  spec.renormalise = true;
  spec.routed_scaling = 2.5;
  const Routed routed = route(spec, {0.5f, -0.5f, -9, -9}, {0, 0, 0, 0});
  EXPECT_THAT(routed.experts, ElementsAre(0, 1));
  EXPECT_NEAR(routed.weights[0] + routed.weights[1], 2.5f, 1e-6f);
  EXPECT_NEAR(routed.weights[0] / routed.weights[1], sigmoid(0.5f) / sigmoid(-0.5f), 1e-5f);
}

TEST(Router, TheBiasIsNotRounded) {
  // 3.001 and 3.002 are one number in bf16.
  MoeSpec spec = two_groups();
  spec.groups = 1;
  spec.experts_per_token = 1;
  EXPECT_THAT(route(spec, {0, 0, 0, 0}, {3, 3.001f, 3.002f, 3}).experts, ElementsAre(2));
  EXPECT_THAT(route(spec, {0, 0, 0, 0}, {3, 3.001f, 3.002f, 3}, {.bias_in_bf16 = true}).experts,
              ElementsAre(0));
}

TEST(TopIndices, AreOrderedBestFirst) {
  const std::vector<float> values{0.5f, -1, 7, 7, 3};
  std::vector<std::int32_t> top(4);
  top_indices(values, top);
  EXPECT_THAT(top, ElementsAre(2, 3, 4, 0));
}

TEST(RoundToBf16, TiesGoToEven) {
  EXPECT_EQ(round_to_bf16(1.0f), 1.0f);
  EXPECT_EQ(round_to_bf16(1.00390625f), 1.0f) << "half way, down to even";
  EXPECT_EQ(round_to_bf16(1.01171875f), 1.015625f) << "half way, up to even";
}

}  // namespace
}  // namespace tidegate::worker
