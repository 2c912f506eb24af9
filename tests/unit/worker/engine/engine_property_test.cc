#include <gmock/gmock.h>

#include <functional>

#include "base/core/random.h"
#include "tests/unit/worker/engine/engine_harness.h"

namespace tidegate::worker {
namespace {

GenerateRequest random_request(Rng& rng, SequenceHandle handle) {
  static const std::vector<std::string> kWords = {"写一首诗", "moon ", "春天", "12345",
                                                  "\n",       "的",    "酒",   "<｜User｜>"};
  std::string text;
  for (std::uint64_t n = rng.below(14); n > 0; --n) text += kWords[rng.below(kWords.size())];
  auto request =
      user_request(handle, text + "?", static_cast<std::int32_t>(rng.below(3) == 0 ? 0 : 1 + rng.below(150)));
  request.sampling.seed = rng.next();
  if (handle % 3 != 0) request.cache_salt = salt_of(static_cast<std::uint8_t>(handle % 2));
  if (rng.below(3) == 0) request.sampling.temperature = 0;
  if (rng.below(3) == 0) request.sampling.top_k = static_cast<std::int32_t>(rng.below(5));
  if (rng.below(4) == 0) request.sampling.stop = {"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", "a"};
  return request;
}

void expect_same(const Outcome& outcome, const Outcome& alone) {
  EXPECT_EQ(outcome.reasoning, alone.reasoning);
  EXPECT_EQ(outcome.content, alone.content);
  EXPECT_EQ(outcome.finish, alone.finish);
  EXPECT_EQ(outcome.usage.prompt_tokens, alone.usage.prompt_tokens);
  EXPECT_EQ(outcome.usage.completion_tokens, alone.usage.completion_tokens);
  EXPECT_EQ(outcome.usage.reasoning_tokens, alone.usage.reasoning_tokens);
}

// Invariant E1 at this level: what a seeded request says depends on nothing around it. The crowded engine has
// a random batch limit, step budget (chunks) and KV pool (preemptions), and requests come and are cancelled
// at random; the other engine serves one request at a time in one chunk.
TEST(EngineProperty, EveryRequestSaysWhatItSaysAlone) {
  std::int64_t preemptions = 0;
  std::int64_t cancelled = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    const auto sequences = static_cast<std::int32_t>(1 + rng.below(8));
    EngineLimits limits{.schedule = {sequences, static_cast<std::int32_t>(sequences + rng.below(60))},
                        .waiting_max = 32,
                        .kv_blocks = static_cast<std::int32_t>(8 + rng.below(5))};
    const auto long_answers = [](FakeBackend& backend) { backend.end_chance = 1; };
    EngineHarness crowded(limits, long_answers);
    EngineHarness quiet({.schedule = {1, 512}, .waiting_max = 1, .kv_blocks = 8}, long_answers);

    std::map<SequenceHandle, GenerateRequest> requests;
    for (SequenceHandle handle = 1; handle <= 10; ++handle) requests[handle] = random_request(rng, handle);
    SequenceHandle next = 1;
    for (int step = 0; next <= 10 || !crowded.engine->idle(); ++step) {
      ASSERT_LT(step, 20000);
      while (next <= 10 && rng.below(2) == 0) {
        ASSERT_TRUE(crowded.engine->submit(requests[next]));
        ++next;
      }
      if (rng.below(90) == 0) crowded.engine->cancel(1 + rng.below(10));
      collect(crowded.engine->step(), crowded.outcomes);
      ASSERT_LE(crowded.engine->kv_pool().blocks_used(), crowded.engine->kv_pool().blocks_total());
    }
    EXPECT_EQ(crowded.engine->kv_pool().blocks_free(), crowded.engine->kv_pool().blocks_total());
    preemptions += crowded.engine->load().preemptions_total;

    std::int64_t completion = 0;
    for (const auto& [handle, request] : requests) {
      ASSERT_TRUE(quiet.engine->submit(request));
      quiet.drain();
      const Outcome& outcome = crowded.outcomes[handle];
      const Outcome& alone = quiet.outcomes[handle];
      completion += outcome.usage.completion_tokens;
      if (outcome.finish == FinishReason::kCancelled) {
        ++cancelled;
        EXPECT_TRUE(alone.reasoning.starts_with(outcome.reasoning));
        EXPECT_TRUE(alone.content.starts_with(outcome.content));
      } else {
        expect_same(outcome, alone);
      }
    }
    // The backend's own count: one row of logits was asked for per billed token, no more.
    EXPECT_EQ(completion, crowded.backend->rows_total);
    EXPECT_EQ(completion, crowded.engine->load().completion_tokens_total);
  }
  // Otherwise the claim was tested on easy days only.
  EXPECT_GT(preemptions, 20);
  EXPECT_GT(cancelled, 20);
}

TEST(EngineProperty, GreedyDoesNotDependOnTheChunkSize) {
  Outcome expected;
  for (const std::int32_t budget : {1, 2, 7, 64, 512}) {
    EngineHarness h({.schedule = {1, budget}, .waiting_max = 1, .kv_blocks = 8});
    auto request = user_request(1, std::string(200, 'z') + "写一首诗", 40);
    request.sampling.temperature = 0;
    ASSERT_TRUE(h.engine->submit(request));
    h.drain();
    if (budget == 1) expected = h.outcomes[1];
    expect_same(h.outcomes[1], expected);
  }
}

TEST(EngineProperty, ANeighbourWithoutASeedChangesNothing) {
  Outcome expected;
  for (int neighbours = 0; neighbours < 8; ++neighbours) {
    EngineHarness h(roomy());
    auto request = user_request(1, "春", 60);
    request.sampling.seed = 42;
    ASSERT_TRUE(h.engine->submit(request));
    for (int n = 0; n < neighbours; ++n) {
      ASSERT_TRUE(h.engine->submit(user_request(static_cast<SequenceHandle>(100 + n), "夏", 60)));
    }
    h.drain();
    if (neighbours == 0) expected = h.outcomes[1];
    expect_same(h.outcomes[1], expected);
  }
}

}  // namespace
}  // namespace tidegate::worker
