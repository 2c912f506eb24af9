#include "worker/engine/sim_engine.h"

#include <gtest/gtest.h>

#include "tests/support/sim_clock.h"
#include "tests/unit/worker/engine/engine_harness.h"

namespace tidegate::worker {
namespace {

using std::chrono::milliseconds;

class SimEngineTest : public testing::Test {
 protected:
  SimOptions options_{.step_interval = milliseconds(10),
                      .prefill_tokens_per_second = 1000,
                      .sequences_max = 2,
                      .waiting_max = 2,
                      .context_max = 1000,
                      .reasoning_tokens = 3,
                      .content_tokens = 4};

  void tick(SimEngine& engine, Duration by = milliseconds(10)) {
    clock_.advance(by);
    collect(engine.step(), outcomes_);
  }
  void drain(SimEngine& engine) {
    for (int n = 0; !engine.idle(); ++n) {
      ASSERT_LT(n, 10000);
      tick(engine);
    }
  }

  test::SimClock clock_;
  std::map<SequenceHandle, Outcome> outcomes_;
};

TEST_F(SimEngineTest, SaysThatItIsASimulation) {
  const SimEngine engine(options_, clock_);
  EXPECT_EQ(engine.facts().engine, "sim");
  EXPECT_EQ(engine.facts().weights_digest, "sim:no-weights");
}

TEST_F(SimEngineTest, AnswersInFullWithExactUsage) {
  SimEngine engine(options_, clock_);
  ASSERT_TRUE(engine.submit(user_request(1, "hello")));  // two tokens of text, four of template
  drain(engine);
  const Outcome& outcome = outcomes_[1];
  EXPECT_EQ(outcome.finish, FinishReason::kStop);
  EXPECT_EQ(outcome.usage.prompt_tokens, 6);
  EXPECT_EQ(outcome.usage.reasoning_tokens, 3);
  EXPECT_EQ(outcome.usage.completion_tokens, 8);
  EXPECT_FALSE(outcome.reasoning.empty());
  EXPECT_EQ(std::count(outcome.content.begin(), outcome.content.end(), ' '), 3);
}

TEST_F(SimEngineTest, ARawPromptIsAnsweredWithoutReasoning) {
  SimEngine engine(options_, clock_);
  auto request = raw_request(1, "hello");  // two tokens of text, four of template
  request.raw->suffix = "you";             // eight bytes together: still two
  ASSERT_TRUE(engine.submit(request));
  drain(engine);
  const Outcome& outcome = outcomes_[1];
  EXPECT_EQ(outcome.usage.prompt_tokens, 6);
  EXPECT_EQ(outcome.usage.reasoning_tokens, 0);
  EXPECT_EQ(outcome.usage.completion_tokens, 5) << "the content and its end token";
  EXPECT_EQ(outcome.reasoning, "");
  EXPECT_EQ(std::count(outcome.content.begin(), outcome.content.end(), ' '), 3);
}

TEST_F(SimEngineTest, YieldsOneTokenPerInterval) {
  SimEngine engine(options_, clock_);
  ASSERT_TRUE(engine.submit(user_request(1, "hello")));
  tick(engine, milliseconds(0));  // prefill: six tokens at ten per step
  EXPECT_EQ(engine.next_step_at(), clock_.mono() + milliseconds(10));
  EXPECT_TRUE(engine.step().empty());
  tick(engine, milliseconds(9));
  EXPECT_EQ(outcomes_[1].usage.completion_tokens, 0);
  tick(engine, milliseconds(1));
  EXPECT_EQ(outcomes_[1].usage.completion_tokens, 1);
  tick(engine);
  EXPECT_EQ(outcomes_[1].usage.completion_tokens, 2);
}

TEST_F(SimEngineTest, APromptTakesTimeInProportionToItsLength) {
  SimEngine engine(options_, clock_);
  ASSERT_TRUE(engine.submit(user_request(1, std::string(184, 'x'))));  // 46 + 4 tokens: five steps of ten
  EXPECT_EQ(engine.load().prompt_tokens_left, 0) << "not in the batch yet";
  tick(engine);
  EXPECT_EQ(engine.load().prompt_tokens_left, 40);
  for (int n = 1; n < 5; ++n) tick(engine);
  EXPECT_EQ(engine.load().prompt_tokens_left, 0);
  EXPECT_EQ(outcomes_[1].usage.completion_tokens, 0);
  tick(engine);
  EXPECT_EQ(outcomes_[1].usage.completion_tokens, 1);
}

TEST_F(SimEngineTest, ServesItsLimitAndLetsOthersWait) {
  SimEngine engine(options_, clock_);
  for (SequenceHandle handle = 1; handle <= 4; ++handle)
    ASSERT_TRUE(engine.submit(user_request(handle, "x")));
  EXPECT_EQ(engine.submit(user_request(5, "x")).error().reason, "engine_full");
  tick(engine);
  EXPECT_EQ(engine.load().sequences_running, 2);
  EXPECT_EQ(engine.load().sequences_waiting, 2);
  EXPECT_FALSE(outcomes_.contains(3));
  drain(engine);
  EXPECT_EQ(outcomes_.size(), 4U);
}

TEST_F(SimEngineTest, HonoursMaxTokensStopAndCancel) {
  SimEngine engine(options_, clock_);
  ASSERT_TRUE(engine.submit(user_request(1, "x", 5)));
  drain(engine);
  EXPECT_EQ(outcomes_[1].finish, FinishReason::kLength);
  EXPECT_EQ(outcomes_[1].usage.completion_tokens, 5);
  EXPECT_EQ(outcomes_[1].stop_text, "");

  auto stopping = user_request(2, "x");
  stopping.sampling.stop = {" "};
  ASSERT_TRUE(engine.submit(stopping));
  drain(engine);
  EXPECT_EQ(outcomes_[2].finish, FinishReason::kStop);
  EXPECT_EQ(outcomes_[2].stop_text, " ");
  EXPECT_EQ(outcomes_[2].content.find(' '), std::string::npos);
  EXPECT_LT(outcomes_[2].usage.completion_tokens, 8);

  ASSERT_TRUE(engine.submit(user_request(3, "x")));
  tick(engine);
  engine.cancel(3);
  collect(engine.step(), outcomes_);  // not due, yet the cancellation goes through
  EXPECT_EQ(outcomes_[3].finish, FinishReason::kCancelled);
  EXPECT_TRUE(engine.idle());
}

TEST_F(SimEngineTest, TheSameSeedSaysTheSame) {
  SimEngine engine(options_, clock_);
  for (const SequenceHandle handle : {7U, 8U, 9U}) {
    auto request = user_request(handle, "x");
    if (handle != 9) request.sampling.seed = 5;
    ASSERT_TRUE(engine.submit(request));
    drain(engine);
  }
  EXPECT_EQ(outcomes_[7].content, outcomes_[8].content);
  EXPECT_NE(outcomes_[7].content, outcomes_[9].content);
}

TEST_F(SimEngineTest, AnIdleSpellEarnsNoBurst) {
  SimEngine engine(options_, clock_);
  clock_.advance(std::chrono::hours(1));
  ASSERT_TRUE(engine.submit(user_request(1, "x")));
  tick(engine, milliseconds(0));
  EXPECT_TRUE(engine.step().empty());
  EXPECT_EQ(outcomes_[1].usage.completion_tokens, 0);
}

TEST_F(SimEngineTest, CountsAPromptAsItWouldChargeIt) {
  SimEngine engine(options_, clock_);
  EXPECT_EQ(engine.count_prompt(user_request(1, "hello")), 6);
  EXPECT_TRUE(engine.idle());
}

TEST_F(SimEngineTest, RefusesABiasOverTokensThatItDoesNotHave) {
  SimEngine engine(options_, clock_);
  auto request = user_request(1, "hello");
  request.sampling.logit_bias[5] = 1;
  EXPECT_EQ(engine.submit(request).error().field, "logit_bias");
  EXPECT_FALSE(engine.facts().abilities.logit_bias) << "and says so beforehand";
}

TEST_F(SimEngineTest, RefusesAPromptBeyondItsContext) {
  SimEngine engine(options_, clock_);
  const Status status = engine.submit(user_request(1, std::string(4000, 'x')));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().reason, "context_length_exceeded");
}

}  // namespace
}  // namespace tidegate::worker
