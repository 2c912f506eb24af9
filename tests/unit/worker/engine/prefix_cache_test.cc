// The prefix cache through the whole engine: what it saves, and that nobody can tell it from its bill alone.
#include <gmock/gmock.h>

#include <string>
#include <utility>

#include "base/core/random.h"
#include "tests/unit/worker/engine/engine_harness.h"

namespace tidegate::worker {
namespace {

GenerateRequest salted(SequenceHandle handle, std::string text, std::uint8_t tenant, std::int32_t max_tokens = 8) {
  auto request = raw_request(handle, std::move(text), max_tokens);
  request.cache_salt = salt_of(tenant);
  request.sampling.seed = 7;
  return request;
}

EngineLimits with_cache(bool on) {
  EngineLimits limits = roomy();
  limits.prefix_cache = on;
  return limits;
}

TEST(PrefixCache, TheSecondPromptComputesOnlyWhatIsNew) {
  EngineHarness h(roomy(), [](FakeBackend& backend) { backend.end_chance = 0; });
  const std::string shared(150, 'p');
  ASSERT_TRUE(h.engine->submit(salted(1, shared + "first", 1)));
  h.drain();
  EXPECT_EQ(h.outcomes[1].usage.cached_tokens, 0);
  const std::int64_t before = h.backend->tokens_total;
  ASSERT_TRUE(h.engine->submit(salted(2, shared + "second", 1)));
  h.drain();
  EXPECT_EQ(h.outcomes[2].usage.cached_tokens, 128);
  EXPECT_EQ(h.outcomes[2].usage.prompt_tokens, 157) << "BOS and a token a byte";
  // The prompt's rest, and each sampled token but the last is fed back.
  EXPECT_EQ(h.backend->tokens_total - before, 157 - 128 + 8 - 1);
  EXPECT_EQ(h.engine->load().cached_tokens_total, 128);
}

TEST(PrefixCache, CachedIsKnownWhenTheSequenceIsAccepted) {
  EngineHarness h(roomy());
  ASSERT_TRUE(h.engine->submit(salted(1, std::string(150, 'p'), 1)));
  h.drain();
  ASSERT_TRUE(h.engine->submit(salted(2, std::string(150, 'p'), 1)));
  const auto events = h.engine->step();
  ASSERT_FALSE(events.empty());
  EXPECT_TRUE(events[0].accepted);
  EXPECT_EQ(events[0].usage.cached_tokens, 128);
  h.engine->cancel(2);
  h.drain();
}

TEST(PrefixCache, AnotherTenantAndNoTenantComputeEverything) {
  EngineHarness h(roomy());
  const std::string text(150, 'p');
  ASSERT_TRUE(h.engine->submit(salted(1, text, 1)));
  h.drain();
  ASSERT_TRUE(h.engine->submit(salted(2, text, 2)));
  auto unsalted = raw_request(3, text, 8);
  ASSERT_TRUE(h.engine->submit(unsalted));
  h.drain();
  EXPECT_EQ(h.outcomes[2].usage.cached_tokens, 0);
  EXPECT_EQ(h.outcomes[3].usage.cached_tokens, 0);
}

// CVE-2025-46570: whoever can time first tokens must not learn what other tenants have asked. Steps and tokens computed
// stand for time, so that the claim is exact.
TEST(PrefixCache, AForeignPrefixCostsWhatAnUnknownOneCosts) {
  const auto cost_of_first_token = [](bool is_known_to_another, std::uint64_t seed) {
    Rng rng(seed);
    std::string text;
    for (std::uint64_t n = 64 + rng.below(300); n > 0; --n) text += static_cast<char>('a' + rng.below(26));
    EngineHarness h({.schedule = {4, 64}, .waiting_max = 8, .kv_blocks = 40});
    if (is_known_to_another) {
      EXPECT_TRUE(h.engine->submit(salted(1, text, 1)));
      h.drain();
      EXPECT_GT(h.engine->load().kv_tokens_idle, 0);
    }
    const std::int64_t tokens = h.backend->tokens_total;
    const std::int64_t steps = h.engine->load().steps_total;
    EXPECT_TRUE(h.engine->submit(salted(2, text, 2)));
    while (h.outcomes[2].usage.completion_tokens == 0) collect(h.engine->step(), h.outcomes);
    const std::pair<std::int64_t, std::int64_t> cost(h.backend->tokens_total - tokens, h.engine->load().steps_total - steps);
    h.drain();
    return cost;
  };
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    EXPECT_EQ(cost_of_first_token(true, seed), cost_of_first_token(false, seed)) << seed;
  }
}

// The same while the other tenant's answer is still being written: blocks that are in use are no nearer than idle ones.
TEST(PrefixCache, AForeignPrefixInUseCostsWhatAnUnknownOneCosts) {
  const auto cost_of_first_token = [](bool is_known_to_another, std::uint64_t seed) {
    Rng rng(seed);
    const std::uint64_t length = 64 + rng.below(200);
    const auto text_of = [&rng, length] {
      std::string text;
      for (std::uint64_t n = 0; n < length; ++n) text += static_cast<char>('a' + rng.below(26));
      return text;
    };
    const std::string text = text_of();
    const std::string other = text_of();
    EngineHarness h({.schedule = {4, 64}, .waiting_max = 8, .kv_blocks = 40},
                    [](FakeBackend& backend) { backend.end_chance = backend.think_end_chance = 0; });
    EXPECT_TRUE(h.engine->submit(salted(1, is_known_to_another ? text : other, 1, 0)));
    for (int step = 0; step < 10; ++step) collect(h.engine->step(), h.outcomes);
    EXPECT_GT(h.outcomes[1].usage.completion_tokens, 0) << "its prompt is computed";
    EXPECT_FALSE(h.outcomes[1].finish.has_value()) << "and it is still there";
    const std::int64_t tokens = h.backend->tokens_total;
    const std::int64_t steps = h.engine->load().steps_total;
    EXPECT_TRUE(h.engine->submit(salted(2, text, 2)));
    while (h.outcomes[2].usage.completion_tokens == 0) collect(h.engine->step(), h.outcomes);
    EXPECT_EQ(h.outcomes[2].usage.cached_tokens, 0);
    const std::pair<std::int64_t, std::int64_t> cost(h.backend->tokens_total - tokens, h.engine->load().steps_total - steps);
    h.engine->cancel(1);
    h.drain();
    return cost;
  };
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    EXPECT_EQ(cost_of_first_token(true, seed), cost_of_first_token(false, seed)) << seed;
  }
}

TEST(PrefixCache, AnAnswerIsPartOfTheNextTurnsPrefix) {
  EngineHarness h(roomy(), [](FakeBackend& backend) {
    backend.end_chance = backend.think_end_chance = 0;
    backend.always = FakeBackend::kFirstByte + 'a';
  });
  auto first = salted(1, std::string(60, 'p'), 1, 100);
  first.sampling.temperature = 0;
  ASSERT_TRUE(h.engine->submit(first));
  h.drain();
  ASSERT_EQ(h.outcomes[1].content, std::string(100, 'a'));
  ASSERT_TRUE(h.engine->submit(salted(2, std::string(60, 'p') + std::string(100, 'a') + "next", 1)));
  h.drain();
  EXPECT_EQ(h.outcomes[2].usage.cached_tokens, 128);
}

TEST(PrefixCache, APromptThatIsCachedWholeStillComputesItsLastToken) {
  EngineHarness h(roomy());
  const std::string text(127, 'p');  // 128 with BOS: two full blocks
  for (SequenceHandle handle = 1; handle <= 2; ++handle) {
    ASSERT_TRUE(h.engine->submit(salted(handle, text, 1)));
    h.drain();
  }
  EXPECT_EQ(h.outcomes[2].usage.cached_tokens, 64);
  EXPECT_EQ(h.outcomes[2].content, h.outcomes[1].content);
}

TEST(PrefixCache, IdlePrefixesAreRoomForOthers) {
  EngineHarness h({.schedule = {4, 256}, .waiting_max = 8, .kv_blocks = 4},
                  [](FakeBackend& backend) { backend.end_chance = 0; });
  ASSERT_TRUE(h.engine->submit(salted(1, std::string(120, 'p'), 1)));
  h.drain();
  EXPECT_EQ(h.engine->load().kv_tokens_idle, 2 * kKvBlockTokens) << "BOS, prompt and answer fill two blocks";
  EXPECT_EQ(h.engine->load().kv_tokens_used, 0);
  ASSERT_TRUE(h.engine->submit(salted(2, std::string(200, 'q'), 2)));
  h.drain();
  EXPECT_EQ(h.outcomes[2].finish, FinishReason::kLength);
}

TEST(PrefixCache, AFaultLeavesNothingToFind) {
  // In chunks, so that full blocks are there to be found before the fault shows.
  EngineHarness h({.schedule = {1, 64}, .waiting_max = 4, .kv_blocks = 8}, [](FakeBackend& backend) {
    backend.never = '@';
    backend.poison = FakeBackend::kFirstByte + '@';
  });
  const std::string text = std::string(150, 'p') + "@";
  ASSERT_TRUE(h.engine->submit(salted(1, text, 1)));
  h.drain();
  EXPECT_EQ(h.outcomes[1].finish, FinishReason::kError);
  EXPECT_EQ(h.engine->load().kv_tokens_idle, 0);
}

TEST(PrefixCache, ACancelledPromptLeavesWhatItComputed) {
  EngineHarness h({.schedule = {1, 64}, .waiting_max = 4, .kv_blocks = 8});
  ASSERT_TRUE(h.engine->submit(salted(1, std::string(300, 'p'), 1)));
  collect(h.engine->step(), h.outcomes);
  collect(h.engine->step(), h.outcomes);
  h.engine->cancel(1);
  h.drain();
  ASSERT_TRUE(h.engine->submit(salted(2, std::string(300, 'p'), 1)));
  h.drain();
  EXPECT_EQ(h.outcomes[2].usage.cached_tokens, 128);
}

// E1 and M5 under random conversations of three tenants that share texts: with the cache every request says what it says
// without, and cached + computed = prompt.
TEST(PrefixCacheProperty, OnAndOffSayTheSame) {
  std::int64_t cached = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    EngineLimits limits{.schedule = {4, static_cast<std::int32_t>(4 + rng.below(100))},
                        .waiting_max = 64,
                        .kv_blocks = static_cast<std::int32_t>(8 + rng.below(12))};
    EngineHarness on(limits);
    EngineHarness off(with_cache(false));
    for (SequenceHandle handle = 1; handle <= 24; ++handle) {
      std::string text;
      for (std::uint64_t n = rng.below(6); n > 0; --n) text += std::string(64, static_cast<char>('a' + rng.below(2)));
      auto request = salted(handle, text + std::string(1 + rng.below(60), 'z'), static_cast<std::uint8_t>(rng.below(3)),
                            static_cast<std::int32_t>(1 + rng.below(80)));
      request.sampling.seed = rng.next();
      ASSERT_TRUE(on.engine->submit(request));
      ASSERT_TRUE(off.engine->submit(request));
      for (std::uint64_t steps = rng.below(40); steps > 0; --steps) collect(on.engine->step(), on.outcomes);
      off.drain();
    }
    on.drain();
    std::int64_t prompt = 0;
    std::int64_t fed_back = 0;
    for (auto& [handle, outcome] : on.outcomes) {
      const Outcome& alone = off.outcomes[handle];
      EXPECT_EQ(outcome.content, alone.content) << handle;
      EXPECT_EQ(outcome.finish, alone.finish) << handle;
      EXPECT_EQ(outcome.usage.prompt_tokens, alone.usage.prompt_tokens);
      EXPECT_EQ(outcome.usage.completion_tokens, alone.usage.completion_tokens);
      EXPECT_EQ(alone.usage.cached_tokens, 0);
      EXPECT_LT(outcome.usage.cached_tokens, outcome.usage.prompt_tokens);
      prompt += outcome.usage.prompt_tokens - outcome.usage.cached_tokens;
      fed_back += outcome.usage.completion_tokens - 1;
      cached += outcome.usage.cached_tokens;
    }
    if (on.engine->load().preemptions_total == 0) {
      EXPECT_EQ(on.backend->tokens_total, prompt + fed_back) << "cached + computed = prompt";
    } else {
      EXPECT_GE(on.backend->tokens_total, prompt + fed_back);
    }
  }
  EXPECT_GT(cached, 10000);
}

}  // namespace
}  // namespace tidegate::worker
