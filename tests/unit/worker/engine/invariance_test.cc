// The comparer of E1 and S1 on a real model: the logits and tokens of a request are the same bits alone and in any batch of 1 to
// 32, in chunks of 1, 7, 64 or all, with the prefix cache and without, preempted or not, on one thread or two, with guesses or
// without. Log probabilities are a function of every logit of a row, so a comparison is of whole rows.
// TIDEGATE_ENGINE_INVARIANCE=100000 runs the whole claim: that many comparisons of a token with its row.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "base/core/random.h"
#include "tests/unit/worker/engine/engine_harness.h"
#include "worker/engine/open_engine.h"

namespace tidegate::worker {
namespace {

constexpr const char* kModel = TG_SOURCE_DIR "/models/tang-moe";
constexpr std::int32_t kRequests = 32;

std::int64_t comparisons_asked() {
  const char* asked = std::getenv("TIDEGATE_ENGINE_INVARIANCE");
  return asked == nullptr ? 1'000 : std::strtoll(asked, nullptr, 10);
}

struct Setting {
  std::int32_t sequences = 1;
  std::int32_t step_tokens = 64;
  std::int64_t kv_bytes = std::int64_t{1} << 30;
  bool prefix_cache = true;
  std::int32_t drafts_batch_max = 0;
  int threads = 2;
};

std::unique_ptr<Engine> open_with(const Setting& setting) {
  EngineOptions options;
  options.sequences_max = setting.sequences;
  options.waiting_max = kRequests;
  options.step_tokens_max = std::max(setting.step_tokens, setting.sequences);
  options.kv_bytes_max = setting.kv_bytes;
  options.prefix_cache = setting.prefix_cache;
  options.drafts_batch_max = setting.drafts_batch_max;
  options.load.threads = setting.threads;
  options.load.digest = false;
  options.entropy = 5;
  auto engine = open_engine(kModel, options);
  EXPECT_TRUE(engine) << engine.error().to_string();
  return engine ? *std::move(engine) : nullptr;
}

GenerateRequest random_request(Rng& rng, SequenceHandle handle) {
  static const std::vector<std::string> kWords = {"写一首诗", "春天", "明月", "江", "moon", "，", "酒", "松", "七言绝句", "\n"};
  GenerateRequest request;
  request.handle = handle;
  std::string text;
  // Beginnings are shared by many, so that the cache has work.
  Rng shared(rng.below(3));
  for (int n = 0; n < 60; ++n) text += kWords[shared.below(kWords.size())];
  for (std::uint64_t n = rng.below(60); n > 0; --n) text += kWords[rng.below(kWords.size())];
  request.messages = {{Role::kUser, text}};
  request.sampling.temperature = rng.below(3) == 0 ? 0 : 1.0;
  request.sampling.seed = rng.next();
  request.sampling.max_tokens = static_cast<std::int32_t>(8 + rng.below(40));
  request.sampling.logprobs = 0;
  if (rng.below(4) == 0) request.sampling.frequency_penalty = 0.4;
  request.cache_salt = salt_of(static_cast<std::uint8_t>(rng.below(2)));
  return request;
}

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

TEST(EngineInvariance, EveryRequestIsTheSameToTheLastBitWhateverSurroundsIt) {
  const std::int64_t asked = comparisons_asked();
  const auto alone = open_with({.sequences = 1, .step_tokens = 1024, .prefix_cache = false, .threads = 1});
  ASSERT_NE(alone, nullptr);
  const std::int64_t block_bytes = 7 * (64 + 16) * 4 * kKvBlockTokens;  // tang-moe with its draft layer
  std::int64_t compared = 0;
  std::int64_t preemptions = 0;
  std::int64_t cached = 0;
  std::int64_t accepted = 0;
  std::int64_t batches = 0;
  for (std::uint64_t seed = 1; compared < asked; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Rng rng(seed);
    Setting setting;
    setting.sequences = static_cast<std::int32_t>(1 + rng.below(32));
    constexpr std::int32_t kChunks[] = {1, 7, 64, 4096};
    setting.step_tokens = kChunks[rng.below(4)] + setting.sequences - 1;
    // From barely room for one at full context to room for all.
    setting.kv_bytes = block_bytes * static_cast<std::int64_t>(16 + (rng.below(2) == 0 ? rng.below(16) : 300));
    setting.prefix_cache = rng.below(3) != 0;
    setting.drafts_batch_max = rng.below(2) == 0 ? 0 : 32;
    setting.threads = static_cast<int>(1 + rng.below(2));
    const auto crowded = open_with(setting);
    ASSERT_NE(crowded, nullptr);

    std::map<SequenceHandle, Outcome> expected;
    std::map<SequenceHandle, Outcome> outcomes;
    const auto count = static_cast<SequenceHandle>(setting.sequences + 2);
    for (SequenceHandle handle = 1; handle <= count; ++handle) {
      const GenerateRequest request = random_request(rng, handle);
      ASSERT_TRUE(alone->submit(request));
      while (!alone->idle()) collect(alone->step(), expected);
      ASSERT_TRUE(crowded->submit(request));
      for (std::uint64_t steps = rng.below(4); steps > 0; --steps) collect(crowded->step(), outcomes);
    }
    while (!crowded->idle()) collect(crowded->step(), outcomes);
    for (SequenceHandle handle = 1; handle <= count; ++handle) {
      const Outcome& outcome = outcomes[handle];
      const Outcome& reference = expected[handle];
      ASSERT_EQ(outcome.reasoning, reference.reasoning) << handle;
      ASSERT_EQ(outcome.content, reference.content) << handle;
      ASSERT_EQ(outcome.usage.completion_tokens, reference.usage.completion_tokens) << handle;
      ASSERT_EQ(outcome.logprobs.size(), reference.logprobs.size()) << handle;
      for (std::size_t n = 0; n < outcome.logprobs.size(); ++n) {
        ASSERT_EQ(outcome.logprobs[n].bytes, reference.logprobs[n].bytes) << handle << " token " << n;
        ASSERT_TRUE(same_bits(outcome.logprobs[n].logprob, reference.logprobs[n].logprob)) << handle << " token " << n;
        ++compared;
      }
      cached += outcome.usage.cached_tokens;
      accepted += outcome.usage.accepted_tokens;
    }
    preemptions += crowded->load().preemptions_total;
    ++batches;
  }
  std::printf("%lld comparisons in %lld settings, 0 differing bits; %lld preemptions, %lld prompt tokens cached, %lld guesses right\n",
              static_cast<long long>(compared), static_cast<long long>(batches), static_cast<long long>(preemptions),
              static_cast<long long>(cached), static_cast<long long>(accepted));
  EXPECT_GT(cached, 0);
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace tidegate::worker
