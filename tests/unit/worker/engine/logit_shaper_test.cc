#include "worker/engine/logit_shaper.h"

#include <gmock/gmock.h>

namespace tidegate::worker {
namespace {

using testing::ElementsAre;
using testing::FloatEq;

const std::vector<float> kRaw = {2, -1, 3, 0.5F};

std::vector<float> shaped(const LogitShape& shape, const std::vector<TokenId>& prompt, const std::vector<TokenId>& said) {
  TokenHistory history(shape, prompt);
  for (const TokenId id : said) history.add(id);
  LogitShaper shaper;
  const auto row = shaper.apply(kRaw, shape, history);
  return {row.begin(), row.end()};
}

TEST(LogitShaper, ANeutralShapeTouchesNothing) {
  LogitShaper shaper;
  const LogitShape neutral;
  const std::vector<TokenId> prompt = {1, 2};
  TokenHistory history(neutral, prompt);
  history.add(3);
  EXPECT_TRUE(history.sampled().empty()) << "nobody asks for it, so nobody counts";
  EXPECT_EQ(shaper.apply(kRaw, neutral, history).data(), kRaw.data());
}

TEST(LogitShaper, FrequencyCountsPresenceDoesNot) {
  EXPECT_THAT(shaped({.frequency_penalty = 0.5}, {}, {0, 0, 2}), ElementsAre(1, -1, 2.5F, 0.5F));
  EXPECT_THAT(shaped({.presence_penalty = 0.5}, {}, {0, 0, 2}), ElementsAre(1.5F, -1, 2.5F, 0.5F));
  EXPECT_THAT(shaped({.frequency_penalty = -1, .presence_penalty = 2}, {}, {3, 3}), ElementsAre(2, -1, 3, 0.5F));
}

TEST(LogitShaper, ThePromptCountsForRepetitionOnly) {
  EXPECT_THAT(shaped({.repetition_penalty = 2}, {0, 1}, {2}), ElementsAre(1, -2, 1.5F, 0.5F));
  EXPECT_THAT(shaped({.frequency_penalty = 1, .presence_penalty = 1}, {0, 1}, {}), ElementsAre(2, -1, 3, 0.5F));
  EXPECT_THAT(shaped({.presence_penalty = 0.25, .repetition_penalty = 2}, {0}, {0}), ElementsAre(FloatEq(0.75F), -1, 3, 0.5F))
      << "repetition comes first";
}

TEST(LogitShaper, BiasIsAddedLast) {
  EXPECT_THAT(shaped({.bias = {{1, 100.F}, {2, -100.F}}}, {}, {}), ElementsAre(2, 99, -97, 0.5F));
  EXPECT_THAT(shaped({.repetition_penalty = 2, .bias = {{0, 4.F}}}, {0}, {}), ElementsAre(5, -1, 3, 0.5F));
}

}  // namespace
}  // namespace tidegate::worker
