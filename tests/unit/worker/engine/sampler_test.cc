#include "worker/engine/sampler.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <map>

#include "base/core/random.h"

namespace tidegate::worker {
namespace {

std::map<TokenId, int> draw(const std::vector<float>& logits, SamplerParams params, int count,
                            TokenId limit) {
  Sampler sampler(limit);
  std::map<TokenId, int> seen;
  for (int position = 0; position < count; ++position) {
    const auto token = sampler.sample(logits, params, position);
    EXPECT_TRUE(token);
    ++seen[*token];
  }
  return seen;
}

TEST(Sampler, GreedyTakesTheLowestIdOfEqualLogits) {
  Sampler sampler(4);
  EXPECT_EQ(*sampler.sample(std::vector<float>{1, 3, 3, 0}, {.temperature = 0}, 0), 1);
}

TEST(Sampler, PaddingIdsAreNeverChosen) {
  const std::vector<float> logits = {0, 1, 50, 60};
  for (const double temperature : {0.0, 1.0, 2.0}) {
    for (const auto& [id, count] : draw(logits, {.temperature = temperature, .seed = 3}, 500, 2))
      EXPECT_LT(id, 2);
  }
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  const std::vector<float> logits = {0, 1, 2};
  const int count = 20000;
  const auto seen = draw(logits, {.temperature = 0.5, .seed = 5}, count, 3);
  const double total = std::exp(0) + std::exp(2) + std::exp(4);
  EXPECT_NEAR(seen.at(0), count * std::exp(0) / total, 90);
  EXPECT_NEAR(seen.at(1), count * std::exp(2) / total, 230);
  EXPECT_NEAR(seen.at(2), count * std::exp(4) / total, 260);
}

TEST(Sampler, TopKKeepsTheKLargest) {
  const auto seen = draw({5, 1, 5, 4, 5}, {.temperature = 2, .top_k = 2, .seed = 1}, 2000, 5);
  EXPECT_EQ(seen.size(), 2U);
  EXPECT_TRUE(seen.contains(0) && seen.contains(2));
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const std::vector<float> logits = {std::log(4.0F), std::log(2.0F), 0, 0};
  EXPECT_EQ(draw(logits, {.temperature = 1, .top_p = 0.4, .seed = 1}, 1000, 4).size(), 1U);
  EXPECT_EQ(draw(logits, {.temperature = 1, .top_p = 0.7, .seed = 1}, 1000, 4).size(), 2U);
  EXPECT_EQ(draw(logits, {.temperature = 1, .top_p = 1.0, .seed = 1}, 1000, 4).size(), 4U);
}

TEST(Sampler, TopPOverAWideVocabularyEqualsAFullSort) {
  Rng rng(2);
  std::vector<float> logits(5000);
  for (float& logit : logits) logit = static_cast<float>(rng.unit());  // nearly flat: thousands are kept
  std::vector<std::pair<float, TokenId>> order;
  double total = 0;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    order.emplace_back(-logits[id], static_cast<TokenId>(id));
    total += std::exp(static_cast<double>(logits[id]));
  }
  std::sort(order.begin(), order.end());
  std::map<TokenId, bool> kept;
  double mass = 0;
  for (const auto& [negative, id] : order) {
    if (mass >= 0.9 * total) break;
    mass += std::exp(-static_cast<double>(negative));
    kept[id] = true;
  }
  for (const auto& [id, count] : draw(logits, {.temperature = 1, .top_p = 0.9, .seed = 9}, 300, 5000)) {
    EXPECT_TRUE(kept.contains(id)) << id;
  }
}

TEST(Sampler, SameSeedAndPositionDrawTheSame) {
  const std::vector<float> logits = {0.1F, 0.2F, 0.3F, 0.4F};
  Sampler used(4);
  for (int position = 0; position < 50; ++position)
    (void)used.sample(logits, {.temperature = 1, .seed = 1}, position);
  for (int position = 0; position < 50; ++position) {
    Sampler fresh(4);
    EXPECT_EQ(*used.sample(logits, {.temperature = 1, .seed = 8}, position),
              *fresh.sample(logits, {.temperature = 1, .seed = 8}, position));
  }
}

TEST(Sampler, RefusesNanAndInfinity) {
  Sampler sampler(3);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const double temperature : {0.0, 1.0}) {
      const auto token = sampler.sample(std::vector<float>{1, bad, 2}, {.temperature = temperature}, 0);
      ASSERT_FALSE(token);
      EXPECT_EQ(token.error().reason, "numeric_fault");
    }
  }
}

grammar::TokenMask mask_of(std::int32_t limit, std::initializer_list<TokenId> ids) {
  grammar::TokenMask mask(limit);
  for (const TokenId id : ids) mask.set(id);
  return mask;
}

TEST(Sampler, OnlyAllowedTokensAreDrawnInTheirOwnProportion) {
  const std::vector<float> logits = {9, 1, 50, 2, 0};
  const grammar::TokenMask mask = mask_of(5, {1, 3});
  Sampler sampler(5);
  std::map<TokenId, int> seen;
  const int count = 20000;
  for (int position = 0; position < count; ++position) {
    const auto token = sampler.sample(logits, {.temperature = 1, .seed = 4}, position, &mask);
    ASSERT_TRUE(token);
    ++seen[*token];
  }
  EXPECT_EQ(seen.size(), 2U);
  EXPECT_NEAR(seen[3], count * std::exp(2) / (std::exp(1) + std::exp(2)), 280);
  EXPECT_EQ(*sampler.sample(logits, {.temperature = 0}, 0, &mask), 3);
  const SamplerParams top{.temperature = 1, .top_p = 0.5, .seed = 1};
  EXPECT_EQ(*sampler.sample(logits, top, 0, &mask), 3) << "0.73 of what is allowed";
}

TEST(Sampler, AMaskOfEverythingChangesNothing) {
  Rng rng(6);
  grammar::TokenMask all(300);
  for (TokenId id = 0; id < 300; ++id) all.set(id);
  Sampler sampler(300);
  for (int position = 0; position < 200; ++position) {
    std::vector<float> logits(300);
    for (float& logit : logits) logit = static_cast<float>(rng.unit() * 8);
    const SamplerParams params{.temperature = 0.7, .top_p = 0.9, .top_k = position % 20, .seed = 3};
    EXPECT_EQ(*sampler.sample(logits, params, position), *sampler.sample(logits, params, position, &all));
  }
}

TEST(Sampler, NothingAllowedIsAnError) {
  Sampler sampler(3);
  const grammar::TokenMask none(3);
  const auto token = sampler.sample(std::vector<float>{1, 2, 3}, {.temperature = 1}, 0, &none);
  ASSERT_FALSE(token);
  EXPECT_EQ(token.error().reason, "constraint_dead_end");
}

TEST(Sampler, ATinyTemperatureIsGreedy) {
  const auto seen = draw({1, 2, 3}, {.temperature = 1e-9, .seed = 4}, 100, 3);
  EXPECT_EQ(seen.size(), 1U);
  EXPECT_TRUE(seen.contains(2));
}

}  // namespace
}  // namespace tidegate::worker
