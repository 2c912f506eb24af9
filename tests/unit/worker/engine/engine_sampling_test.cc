// Log probabilities, penalties, bias and device time through the whole engine.
#include <gmock/gmock.h>

#include <limits>

#include "tests/unit/worker/engine/engine_harness.h"

namespace tidegate::worker {
namespace {

TEST(EngineSampling, EveryTokenOfTextHasItsLogprobAndTheEndTokenHasNone) {
  EngineHarness h(roomy(), [](FakeBackend& backend) {
    backend.end_chance = 20;
    backend.think_end_chance = 0;
  });
  auto request = raw_request(1, "hello", 200);
  request.sampling.seed = 3;
  request.sampling.logprobs = 5;
  ASSERT_TRUE(h.engine->submit(request));
  h.drain();
  const Outcome& outcome = h.outcomes[1];
  const bool ended = outcome.finish == FinishReason::kStop;
  std::string bytes;
  for (const TokenLogprob& token : outcome.logprobs) {
    bytes += token.bytes;
    EXPECT_LE(token.logprob, 0);
    ASSERT_EQ(token.top.size(), 5U);
    EXPECT_GE(token.top[0].logprob, token.top[4].logprob);
    EXPECT_FALSE(token.in_reasoning) << "a raw prompt is answered without thinking";
  }
  EXPECT_EQ(static_cast<std::size_t>(outcome.usage.completion_tokens) - (ended ? 1 : 0), outcome.logprobs.size());
  EXPECT_EQ(bytes.size(), outcome.logprobs.size()) << "a byte a token in this vocabulary";
}

TEST(EngineSampling, LogprobsAreOfTheModelAndNotOfTheSampler) {
  // The same answer, drawn at another temperature, under a bias and alone: each token's probability is the model's own.
  std::vector<TokenLogprob> first;
  for (const double temperature : {0.0, 0.4}) {
    EngineHarness h(roomy(), [](FakeBackend& backend) {
      backend.end_chance = 0;
      backend.always = FakeBackend::kFirstByte + 'a';
    });
    auto request = raw_request(1, "hello", 20);
    request.sampling.temperature = temperature;
    request.sampling.logprobs = 0;
    if (temperature > 0) request.sampling.logit_bias = {{FakeBackend::kFirstByte + 'b', -100}};
    ASSERT_TRUE(h.engine->submit(request));
    h.drain();
    ASSERT_EQ(h.outcomes[1].content, std::string(20, 'a'));
    if (temperature == 0) {
      first = h.outcomes[1].logprobs;
    } else {
      EXPECT_EQ(h.outcomes[1].logprobs, first);
    }
  }
  EXPECT_EQ(first.size(), 20U);
}

TEST(EngineSampling, ThinkingIsMarkedInLogprobs) {
  EngineHarness h(roomy(), [](FakeBackend& backend) { backend.end_chance = 0; });
  auto request = user_request(1, "x", 200);
  request.sampling.seed = 12;
  request.sampling.logprobs = 0;
  ASSERT_TRUE(h.engine->submit(request));
  h.drain();
  const Outcome& outcome = h.outcomes[1];
  std::int32_t reasoning = 0;
  for (const TokenLogprob& token : outcome.logprobs) reasoning += token.in_reasoning ? 1 : 0;
  EXPECT_GT(reasoning, 0);
  EXPECT_LE(reasoning, outcome.usage.reasoning_tokens);
}

TEST(EngineSampling, ABiasBansAndForcesTokens) {
  EngineHarness h(roomy(), [](FakeBackend& backend) {
    backend.end_chance = backend.think_end_chance = 0;
    backend.always = FakeBackend::kFirstByte + 'a';
  });
  auto banned = raw_request(1, "hello", 20);
  banned.sampling.temperature = 0;
  banned.sampling.logit_bias = {{FakeBackend::kFirstByte + 'a', -100}};
  ASSERT_TRUE(h.engine->submit(banned));
  auto forced = raw_request(2, "hello", 20);
  forced.sampling.temperature = 0;
  forced.sampling.logit_bias = {{FakeBackend::kFirstByte + 'z', 100}};
  ASSERT_TRUE(h.engine->submit(forced));
  h.drain();
  EXPECT_EQ(h.outcomes[1].content.find('a'), std::string::npos);
  EXPECT_EQ(h.outcomes[2].content, std::string(20, 'z'));
}

TEST(EngineSampling, APenaltyEndsARepetition) {
  EngineHarness h(roomy(), [](FakeBackend& backend) {
    backend.end_chance = backend.think_end_chance = 0;
    backend.always = FakeBackend::kFirstByte + 'a';  // 50 above, so each repetition must cost more than once
  });
  auto request = raw_request(1, "hello", 60);
  request.sampling.temperature = 0;
  request.sampling.frequency_penalty = 2;
  ASSERT_TRUE(h.engine->submit(request));
  h.drain();
  const std::string& content = h.outcomes[1].content;
  EXPECT_TRUE(content.starts_with(std::string(20, 'a')));
  EXPECT_NE(content.find_first_not_of('a'), std::string::npos);
}

TEST(EngineSampling, PenaltiesSurviveAPreemption) {
  const auto request_for = [](SequenceHandle handle) {
    auto request = raw_request(handle, std::string(100, static_cast<char>('a' + handle)), 150);
    request.sampling.seed = handle;
    request.sampling.frequency_penalty = 0.3;
    request.sampling.presence_penalty = 0.2;
    request.sampling.repetition_penalty = 1.2;
    request.sampling.logprobs = 2;
    return request;
  };
  const auto unending = [](FakeBackend& backend) { backend.end_chance = backend.think_end_chance = 0; };
  EngineHarness crowded({.schedule = {3, 64}, .waiting_max = 8, .kv_blocks = 8}, unending);
  EngineHarness quiet({.schedule = {1, 512}, .waiting_max = 8, .kv_blocks = 8}, unending);
  for (SequenceHandle handle = 1; handle <= 3; ++handle) {
    ASSERT_TRUE(crowded.engine->submit(request_for(handle)));
    ASSERT_TRUE(quiet.engine->submit(request_for(handle)));
    quiet.drain();
  }
  crowded.drain();
  EXPECT_GT(crowded.engine->load().preemptions_total, 0);
  for (SequenceHandle handle = 1; handle <= 3; ++handle) {
    EXPECT_EQ(crowded.outcomes[handle].content, quiet.outcomes[handle].content);
    EXPECT_EQ(crowded.outcomes[handle].logprobs, quiet.outcomes[handle].logprobs);
  }
}

TEST(EngineSampling, RefusalsNameTheField) {
  EngineHarness h(roomy());
  const auto with = [](auto change) {
    auto request = raw_request(5, "x");
    change(request.sampling);
    return request;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::pair<const char*, GenerateRequest> bad[] = {
      {"top_logprobs", with([](SamplingParams& s) { s.logprobs = 21; })},
      {"top_logprobs", with([](SamplingParams& s) { s.logprobs = -1; })},
      {"frequency_penalty", with([](SamplingParams& s) { s.frequency_penalty = 2.1; })},
      {"presence_penalty", with([nan](SamplingParams& s) { s.presence_penalty = nan; })},
      {"repetition_penalty", with([](SamplingParams& s) { s.repetition_penalty = 0; })},
      {"repetition_penalty", with([nan](SamplingParams& s) { s.repetition_penalty = nan; })},
      {"logit_bias", with([](SamplingParams& s) { s.logit_bias = {{FakeBackend::kFirstPaddingId, 1}}; })},
      {"logit_bias", with([](SamplingParams& s) { s.logit_bias = {{-1, 1}}; })},
      {"logit_bias", with([](SamplingParams& s) { s.logit_bias = {{5, 101}}; })},
  };
  for (const auto& [field, request] : bad) {
    const Status status = h.engine->submit(request);
    ASSERT_FALSE(status) << field;
    EXPECT_EQ(status.error().code, Code::kInvalidArgument);
    EXPECT_EQ(status.error().field, field);
  }
}

// Metering: what a step cost is shared by tokens fed, to the microsecond.
TEST(EngineSampling, DeviceTimeAddsUpToTheTimeOfTheSteps) {
  EngineHarness h({.schedule = {4, 64}, .waiting_max = 8, .kv_blocks = 32},
                  [](FakeBackend& backend) { backend.end_chance = 0; });
  std::int64_t spent = 0;
  h.backend->on_forward = [&] {
    h.clock.advance(std::chrono::microseconds(1003));
    spent += 1003;
  };
  ASSERT_TRUE(h.engine->submit(raw_request(1, std::string(200, 'a'), 9)));
  ASSERT_TRUE(h.engine->submit(raw_request(2, "b", 9)));
  ASSERT_TRUE(h.engine->submit(raw_request(3, "c", 3)));
  h.drain();
  std::int64_t billed = 0;
  for (const auto& [handle, outcome] : h.outcomes) billed += outcome.usage.device_us;
  EXPECT_EQ(billed, spent);
  EXPECT_GT(h.outcomes[1].usage.device_us, h.outcomes[2].usage.device_us) << "a long prompt costs more";
  EXPECT_GT(h.outcomes[3].usage.device_us, 0);
}

}  // namespace
}  // namespace tidegate::worker
