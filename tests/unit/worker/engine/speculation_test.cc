// Speculation changes how many steps an answer takes, and nothing else.
#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <optional>
#include <string>

#include "base/core/encoding.h"
#include "base/core/random.h"
#include "tests/unit/worker/engine/engine_harness.h"
#include "worker/engine/grammar/grammar.h"

namespace tidegate::worker {
namespace {

EngineLimits guessing(std::int32_t batch_max = 16) {
  EngineLimits limits = roomy();
  limits.drafts_batch_max = batch_max;
  return limits;
}

auto with_chance(std::uint32_t draft_chance) {
  return [draft_chance](FakeBackend& backend) {
    backend.end_chance = 1;
    backend.draft_chance = draft_chance;
  };
}

GenerateRequest seeded(SequenceHandle handle, std::int32_t max_tokens, double temperature = 0.8) {
  auto request = user_request(handle, "写诗" + std::to_string(handle), max_tokens);
  request.sampling.seed = 100 + handle;
  request.sampling.temperature = temperature;
  return request;
}

TEST(Speculation, RightGuessesHalveTheSteps) {
  const auto steps_with = [](std::uint32_t chance) {
    EngineHarness h(guessing(), [chance](FakeBackend& backend) {
      backend.end_chance = 0;
      backend.draft_chance = chance;
    });
    EXPECT_TRUE(h.engine->submit(seeded(1, 101)));
    h.drain();
    EXPECT_EQ(h.outcomes[1].usage.completion_tokens, 101);
    return h.engine->load().steps_total;
  };
  EXPECT_EQ(steps_with(0), 101) << "no draft layer";
  EXPECT_EQ(steps_with(256), 51) << "the first token comes alone, then two a step";
}

TEST(Speculation, CountsGuessesAndThoseThatWereRight) {
  EngineHarness h(guessing(), [](FakeBackend& backend) {
    backend.end_chance = 0;
    backend.draft_chance = 256;
  });
  ASSERT_TRUE(h.engine->submit(seeded(1, 101)));
  h.drain();
  EXPECT_EQ(h.outcomes[1].usage.drafted_tokens, 50);
  EXPECT_EQ(h.outcomes[1].usage.accepted_tokens, 50);
  EXPECT_EQ(h.engine->load().drafted_tokens_total, 50);
  EXPECT_EQ(h.engine->load().accepted_tokens_total, 50);
}

TEST(Speculation, WrongGuessesCostRowsAndNothingElse) {
  EngineHarness wrong(guessing(), [](FakeBackend& backend) {
    backend.end_chance = 0;
    backend.draft_chance = 1;
    backend.always_draft = FakeBackend::kUser;  // never sampled
  });
  ASSERT_TRUE(wrong.engine->submit(seeded(1, 40)));
  wrong.drain();
  EXPECT_EQ(wrong.outcomes[1].usage.completion_tokens, 40);
  EXPECT_EQ(wrong.outcomes[1].usage.accepted_tokens, 0);
  EXPECT_GT(wrong.outcomes[1].usage.drafted_tokens, 30);
}

TEST(Speculation, OffMeansNoGuesses) {
  for (const std::int32_t batch_max : {0, 1}) {
    EngineHarness h(guessing(batch_max), with_chance(256));
    ASSERT_TRUE(h.engine->submit(seeded(1, 60)));
    ASSERT_TRUE(h.engine->submit(seeded(2, 60)));
    // Two run as long as neither has ended.
    for (int step = 0; step < 10 && h.engine->load().sequences_running != 1; ++step) collect(h.engine->step(), h.outcomes);
    if (h.engine->load().sequences_running == 2) {
      EXPECT_EQ(h.backend->drafts_total, 0) << batch_max;
    }
    h.drain();
    if (batch_max == 0) {
      EXPECT_EQ(h.backend->drafts_total, 0);
    }
  }
}

TEST(Speculation, AStopInsideOfAGuessEndsTheBillThere) {
  // What it says, then the same with a stop string that ends at every possible place.
  EngineHarness plain(roomy(), [](FakeBackend& backend) { backend.end_chance = backend.think_end_chance = 0; });
  auto request = raw_request(1, "stop", 60);
  request.sampling.seed = 5;
  ASSERT_TRUE(plain.engine->submit(request));
  plain.drain();
  const std::string content = plain.outcomes[1].content;
  std::int32_t tried = 0;
  for (std::size_t at = 0; at + 2 < content.size(); ++at) {
    const std::string stop = content.substr(at, 2);
    if (!is_valid_utf8(stop)) continue;
    ++tried;
    std::optional<Outcome> without;
    for (const std::uint32_t chance : {0U, 256U}) {
      EngineHarness h(guessing(), [chance](FakeBackend& backend) {
        backend.end_chance = backend.think_end_chance = 0;
        backend.draft_chance = chance;
      });
      request.sampling.stop = {stop};
      ASSERT_TRUE(h.engine->submit(request));
      h.drain();
      const Outcome& outcome = h.outcomes[1];
      EXPECT_EQ(outcome.finish, FinishReason::kStop);
      EXPECT_EQ(outcome.content, content.substr(0, content.find(stop)));
      if (!without) {
        without = outcome;
        continue;
      }
      EXPECT_EQ(outcome.usage.completion_tokens, without->usage.completion_tokens) << "tokens behind the stop were counted";
    }
  }
  EXPECT_GT(tried, 5);
}

TEST(Speculation, AFaultThatOnlyAGuessLeadsToHurtsNobody) {
  EngineHarness h(guessing(), [](FakeBackend& backend) {
    backend.end_chance = 0;
    backend.draft_chance = 1;
    backend.never = '@';
    backend.always_draft = FakeBackend::kFirstByte + '@';
    backend.poison = FakeBackend::kFirstByte + '@';
  });
  auto request = raw_request(1, "hello", 20);
  request.sampling.seed = 1;
  ASSERT_TRUE(h.engine->submit(request));
  h.drain();
  EXPECT_EQ(h.outcomes[1].finish, FinishReason::kLength);
  EXPECT_EQ(h.outcomes[1].usage.completion_tokens, 20);
}

TEST(Speculation, AGrammarIsKeptAndSaysTheSame) {
  const auto schema = grammar::Grammar::from_json_schema(
      R"({"type":"object","properties":{"a":{"type":"array","items":{"enum":["x","yy","zzz"]},"minItems":3,"maxItems":6}},"required":["a"]})");
  ASSERT_TRUE(schema) << schema.error().to_string();
  std::int64_t accepted = 0;
  for (SequenceHandle handle = 1; handle <= 12; ++handle) {
    std::optional<Outcome> without;
    for (const std::uint32_t chance : {0U, 200U}) {
      EngineHarness h(guessing(), [chance](FakeBackend& backend) {
        backend.end_chance = 0;
        backend.draft_chance = chance;
      });
      auto request = raw_request(handle, "json please", 200);
      request.sampling.seed = handle;
      request.constraint = *schema;
      ASSERT_TRUE(h.engine->submit(request));
      h.drain();
      EXPECT_EQ(h.outcomes[handle].finish, FinishReason::kStop) << h.outcomes[handle].content;
      accepted += h.outcomes[handle].usage.accepted_tokens;
      if (!without) {
        without = h.outcomes[handle];
      } else {
        EXPECT_EQ(h.outcomes[handle].content, without->content);
        EXPECT_EQ(h.outcomes[handle].usage.completion_tokens, without->usage.completion_tokens);
      }
    }
  }
  EXPECT_GT(accepted, 50);
}

// Greedy or drawn, alone or crowded, preempted or not, however good the guesses are: the same tokens, the same bill.
TEST(SpeculationProperty, OnAndOffSayTheSame) {
  std::int64_t accepted = 0;
  std::int64_t rejected = 0;
  std::int64_t preemptions = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    const auto sequences = static_cast<std::int32_t>(1 + rng.below(6));
    EngineLimits limits{.schedule = {sequences, static_cast<std::int32_t>(sequences + rng.below(80))},
                        .waiting_max = 32,
                        .kv_blocks = static_cast<std::int32_t>(8 + rng.below(6)),
                        .prefix_cache = rng.below(2) == 0,
                        .drafts_batch_max = static_cast<std::int32_t>(1 + rng.below(6))};
    EngineHarness on(limits, with_chance(static_cast<std::uint32_t>(1 + rng.below(256))));
    EngineHarness off({.schedule = {1, 512}, .waiting_max = 1, .kv_blocks = 8}, with_chance(256));
    std::map<SequenceHandle, GenerateRequest> requests;
    for (SequenceHandle handle = 1; handle <= 8; ++handle) {
      auto request = seeded(handle, static_cast<std::int32_t>(1 + rng.below(450)), rng.below(3) == 0 ? 0 : 0.8);
      if (rng.below(4) == 0) request.sampling.stop = {"a", "\xEF\xBF\xBD\xEF\xBF\xBD"};
      if (rng.below(4) == 0) request.sampling.frequency_penalty = 0.7;
      if (rng.below(3) == 0) request.sampling.logprobs = 1;
      if (rng.below(2) == 0) request.cache_salt = salt_of(1);
      requests[handle] = request;
      ASSERT_TRUE(on.engine->submit(request));
      for (std::uint64_t steps = rng.below(20); steps > 0; --steps) collect(on.engine->step(), on.outcomes);
    }
    on.drain();
    preemptions += on.engine->load().preemptions_total;
    for (const auto& [handle, request] : requests) {
      ASSERT_TRUE(off.engine->submit(request));
      off.drain();
      const Outcome& outcome = on.outcomes[handle];
      const Outcome& alone = off.outcomes[handle];
      EXPECT_EQ(outcome.reasoning, alone.reasoning) << handle;
      EXPECT_EQ(outcome.content, alone.content) << handle;
      EXPECT_EQ(outcome.finish, alone.finish) << handle;
      EXPECT_EQ(outcome.logprobs, alone.logprobs) << handle;
      EXPECT_EQ(outcome.usage.completion_tokens, alone.usage.completion_tokens) << handle;
      EXPECT_EQ(outcome.usage.reasoning_tokens, alone.usage.reasoning_tokens) << handle;
      EXPECT_EQ(alone.usage.drafted_tokens, 0);
      accepted += outcome.usage.accepted_tokens;
      rejected += outcome.usage.drafted_tokens - outcome.usage.accepted_tokens;
    }
  }
  EXPECT_GT(accepted, 500);
  EXPECT_GT(rejected, 500);
  EXPECT_GT(preemptions, 5);
}

// Two-sample chi-square test of the tokens drawn behind one prompt, with guesses and without, from disjoint seeds: the
// distribution is the model's. (Token identity above is stronger; this would see a mistake in the test's own pairing.)
TEST(SpeculationProperty, DrawsFollowTheModelsDistribution) {
  constexpr int kDraws = 3000;
  std::map<std::string, std::array<double, 2>> counts;
  for (int side = 0; side < 2; ++side) {
    EngineLimits limits{.schedule = {1, 512}, .waiting_max = 1, .kv_blocks = 8, .drafts_batch_max = side};
    EngineHarness h(limits, [](FakeBackend& backend) {
      backend.end_chance = backend.think_end_chance = 0;
      backend.draft_chance = 128;
    });
    for (int draw = 0; draw < kDraws; ++draw) {
      const auto handle = static_cast<SequenceHandle>(1 + draw);
      auto request = raw_request(handle, "q", 3);
      request.sampling.temperature = 0.3;  // few third tokens are likely, so that counts are large
      request.sampling.top_p = 1;
      request.sampling.seed = static_cast<std::uint64_t>(side) * 1'000'000 + static_cast<std::uint64_t>(draw);
      request.sampling.logprobs = 0;
      ASSERT_TRUE(h.engine->submit(request));
      h.drain();
      ASSERT_EQ(h.outcomes[handle].logprobs.size(), 3U);
      const auto& said = h.outcomes[handle].logprobs;
      counts[said[0].bytes + said[1].bytes][static_cast<std::size_t>(side)] += 1;
    }
    if (side == 1) {
      EXPECT_GT(h.engine->load().accepted_tokens_total, 300);
    }
  }
  double statistic = 0;
  double freedom = -1;
  std::array<double, 2> rare{};
  const auto add = [&](const std::array<double, 2>& pair) {
    const double total = pair[0] + pair[1];
    if (total == 0) return;
    statistic += (pair[0] - pair[1]) * (pair[0] - pair[1]) / total;
    freedom += 1;
  };
  for (const auto& [text, pair] : counts) {
    if (pair[0] + pair[1] >= 20) {
      add(pair);
    } else {
      rare[0] += pair[0];
      rare[1] += pair[1];
    }
  }
  add(rare);
  ASSERT_GT(freedom, 3);
  // Mean `freedom`, variance twice that: five standard deviations.
  EXPECT_LT(statistic, freedom + 5 * std::sqrt(2 * freedom));
}

}  // namespace
}  // namespace tidegate::worker
