#include "worker/engine/token_logprob.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "base/core/random.h"
#include "tests/unit/worker/engine/engine_harness.h"

namespace tidegate::worker {
namespace {

TEST(TokenLogprob, IsTheLogSoftmaxOfWhatTheVocabularyHas) {
  const ServedModel model = byte_model();
  // Ids 2.. are bytes in the harness's vocabulary: 'A' is 67.
  std::vector<float> logits(100, -50);
  logits[67] = 1;
  logits[68] = 2;
  logits[69] = 0;
  logits[99] = 80;  // beyond the limit: a padding row
  const auto measured = measure_logprob(logits, 90, 67, 2, *model.tokenizer);
  const double total = std::log(std::exp(1) + std::exp(2) + std::exp(0));
  EXPECT_NEAR(measured.logprob, 1 - total, 1e-9);
  EXPECT_EQ(measured.bytes, "A");
  ASSERT_EQ(measured.top.size(), 2U);
  EXPECT_EQ(measured.top[0].bytes, "B");
  EXPECT_NEAR(measured.top[0].logprob, 2 - total, 1e-9);
  EXPECT_EQ(measured.top[1].bytes, "A");
  EXPECT_TRUE(measure_logprob(logits, 90, 67, 0, *model.tokenizer).top.empty());
}

TEST(TokenLogprob, LargeLogitsDoNotOverflow) {
  const ServedModel model = byte_model();
  std::vector<float> logits(10, 3e4F);
  logits[3] = 3.0001e4F;
  EXPECT_NEAR(measure_logprob(logits, 10, 3, 0, *model.tokenizer).logprob, -std::log(1 + 9 * std::exp(-1.0)), 1e-9);
}

TEST(TokenLogprob, AlternativesAreThoseOfAFullSort) {
  const ServedModel model = byte_model();
  Rng rng(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> logits(200);
    for (float& logit : logits) logit = static_cast<float>(rng.below(40));  // many are equal
    std::vector<TokenId> order(200);
    for (TokenId id = 0; id < 200; ++id) order[static_cast<std::size_t>(id)] = id;
    std::ranges::stable_sort(order, [&](TokenId a, TokenId b) {
      return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
    });
    const auto measured = measure_logprob(logits, 200, 5, 20, *model.tokenizer);
    ASSERT_EQ(measured.top.size(), 20U);
    double mass = 0;
    for (std::size_t n = 0; n < 20; ++n) {
      EXPECT_EQ(measured.top[n].bytes, model.tokenizer->token_bytes(order[n]));
      mass += std::exp(measured.top[n].logprob);
    }
    EXPECT_LE(mass, 1 + 1e-12);
  }
}

}  // namespace
}  // namespace tidegate::worker
