// The comparer of E1 and S1 on a real model: the logits and tokens of a request are the same bits alone and in any batch of 1 to
// 32, in chunks of 1, 7, 64 or all, with the prefix cache and without, preempted or not, on one thread or two, with guesses or
// without. A comparison is of a token and of the whole row of logits that it was drawn from (row_book.h).
// Every second setting has too few blocks for the answers of those whom it lets in, so that some are thrown out and computed again.
// TIDEGATE_ENGINE_INVARIANCE=100000 runs the whole claim: that many comparisons of a token with its row.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "base/core/random.h"
#include "tests/unit/worker/engine/engine_harness.h"
#include "tests/unit/worker/engine/row_book.h"
#include "worker/backend/load.h"

namespace tidegate::worker {
namespace {

constexpr const char* kModel = TG_SOURCE_DIR "/models/tang-moe";
constexpr std::int32_t kRequests = 34;  // of one setting, at most
constexpr std::int32_t kAll = 4096;     // a chunk that holds any prompt

std::int64_t comparisons_asked() {
  const char* asked = std::getenv("TIDEGATE_ENGINE_INVARIANCE");
  return asked == nullptr ? 1'000 : std::strtoll(asked, nullptr, 10);
}

struct Setting {
  std::int32_t sequences = 1;
  std::int32_t chunk = kAll;
  bool prefix_cache = true;
  std::int32_t drafts_batch_max = 0;
  int threads = 2;
  std::int32_t tight_blocks = 0;  ///< 0: blocks for all
  std::int32_t requests = 1;
};

/// The first settings: every value of everything, chunks and tightness in all pairs. Whatever is compared beyond them is drawn.
constexpr std::array<Setting, 8> kFirst = {{
    {.sequences = 8, .chunk = 1, .prefix_cache = true, .drafts_batch_max = 0, .threads = 2, .tight_blocks = 5, .requests = 4},
    {.sequences = 3, .chunk = 7, .prefix_cache = true, .drafts_batch_max = 32, .threads = 1, .requests = 5},
    {.sequences = 8, .chunk = 64, .prefix_cache = false, .drafts_batch_max = 0, .threads = 1, .tight_blocks = 5, .requests = 4},
    {.sequences = 12, .chunk = kAll, .prefix_cache = true, .drafts_batch_max = 0, .threads = 2, .requests = 14},
    {.sequences = 4, .chunk = 1, .prefix_cache = false, .drafts_batch_max = 0, .threads = 1, .requests = 5},
    {.sequences = 8, .chunk = 7, .prefix_cache = false, .drafts_batch_max = 0, .threads = 2, .tight_blocks = 5, .requests = 4},
    {.sequences = 1, .chunk = 64, .prefix_cache = true, .drafts_batch_max = 32, .threads = 2, .requests = 3},
    {.sequences = 8, .chunk = kAll, .prefix_cache = true, .drafts_batch_max = 32, .threads = 1, .tight_blocks = 5, .requests = 4},
}};

Setting random_setting(Rng& rng) {
  Setting setting;
  setting.sequences = static_cast<std::int32_t>(1 + rng.below(32));
  setting.requests = setting.sequences + 2;
  constexpr std::int32_t kChunks[] = {1, 7, 64, kAll};
  setting.chunk = kChunks[rng.below(4)];
  setting.prefix_cache = rng.below(3) != 0;
  setting.drafts_batch_max = rng.below(2) == 0 ? 0 : 32;
  setting.threads = static_cast<int>(1 + rng.below(2));
  if (rng.below(2) == 0) {
    setting.sequences = std::max(setting.sequences, 4);
    setting.tight_blocks = static_cast<std::int32_t>(5 + 2 * rng.below(3));
    setting.requests = static_cast<std::int32_t>(4 + rng.below(9));
  }
  return setting;
}

/// As open_engine() does, with a book between the engine and its backend.
std::unique_ptr<Engine> open_with(const Setting& setting, RowBook& book, WatchedBackend::Role role) {
  static const SystemClock kClock;
  auto model = load_served_model(kModel);
  EXPECT_TRUE(model) << model.error().to_string();
  auto backend = load_backend(kModel, {.threads = setting.threads, .mtp = setting.drafts_batch_max > 0, .digest = false});
  EXPECT_TRUE(backend) << backend.error().to_string();
  if (!model || !backend) return nullptr;
  const std::int32_t useful = setting.sequences * kv_blocks_for((*backend)->facts().context_max);
  const EngineLimits limits{.schedule = {setting.sequences, setting.chunk + setting.sequences - 1},
                            .waiting_max = kRequests,
                            .kv_blocks = setting.tight_blocks > 0 ? setting.tight_blocks : useful,
                            .prefix_cache = setting.prefix_cache,
                            .drafts_batch_max = setting.drafts_batch_max};
  auto watched = std::make_unique<WatchedBackend>(*std::move(backend), book, role);
  auto engine = EngineCore::create(std::move(watched), *std::move(model), limits, 5, kClock);
  EXPECT_TRUE(engine) << engine.error().to_string();
  if (!engine) return nullptr;
  return *std::move(engine);
}

const std::vector<std::string>& words() {
  static const std::vector<std::string> kWords = {"写一首诗", "春天", "明月", "江", "moon", "，", "酒", "松", "七言绝句", "\n"};
  return kWords;
}

GenerateRequest random_request(Rng& rng, SequenceHandle handle) {
  GenerateRequest request;
  request.handle = handle;
  request.sampling.temperature = rng.below(3) == 0 ? 0 : 1.0;
  request.sampling.seed = rng.next();
  request.sampling.logprobs = 0;
  if (rng.below(4) == 0) request.sampling.frequency_penalty = 0.4;
  request.cache_salt = salt_of(static_cast<std::uint8_t>(rng.below(2)));
  return request;
}

/// Beginnings are shared by many, so that the cache has work.
GenerateRequest roomy_request(Rng& rng, SequenceHandle handle) {
  GenerateRequest request = random_request(rng, handle);
  std::string text;
  Rng shared(rng.below(2));
  for (int n = 0; n < 60; ++n) text += words()[shared.below(words().size())];
  for (std::uint64_t n = rng.below(60); n > 0; --n) text += words()[rng.below(words().size())];
  request.messages = {{Role::kUser, text}};
  request.sampling.max_tokens = static_cast<std::int32_t>(8 + rng.below(24));
  return request;
}

/// Its prompt ends shortly before a block does, and its answer goes on beyond: with all others of a tight setting it will want
/// a block when there is none.
GenerateRequest growing_request(Rng& rng, SequenceHandle handle, const Engine& engine) {
  GenerateRequest request = random_request(rng, handle);
  constexpr TokenId kEndToken = 1;  // of tang-moe
  request.sampling.logit_bias = {{kEndToken, -100}};
  request.sampling.max_tokens = static_cast<std::int32_t>(32 + rng.below(8));
  std::string text;
  for (;;) {
    text += words()[rng.below(words().size())];
    request.messages = {{Role::kUser, text}};
    const auto tokens = engine.count_prompt(request);
    EXPECT_TRUE(tokens) << tokens.error().to_string();
    if (!tokens || *tokens % kKvBlockTokens >= kKvBlockTokens - 16) return request;
  }
}

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

/// Comparisons by what was different between the two runs. A name that stands here must be counted.
class Counts {
 public:
  Counts() {
    for (const char* name : {"batch of 1", "batch of 2-8", "batch of 9-32", "chunk 1", "chunk 7", "chunk 64", "chunk all", "1 thread",
                             "2 threads", "cache on", "cache off", "prefix from the cache", "guesses on", "guesses off",
                             "tight", "after a preemption", "after a preemption, cache on", "after a preemption, cache off"}) {
      counts_[name] = 0;
    }
  }
  void add(const std::string& name) {
    const auto found = counts_.find(name);
    ASSERT_NE(found, counts_.end()) << name;
    ++found->second;
  }
  void report() const {
    for (const auto& [name, count] : counts_) {
      std::printf("  %-30s %lld\n", name.c_str(), static_cast<long long>(count));
      EXPECT_GT(count, 0) << "nothing was compared: " << name;
    }
  }

 private:
  std::map<std::string, std::int64_t> counts_;
};

/// One crowded engine, and what became of its requests.
struct Crowd {
  std::unique_ptr<Engine> engine;
  std::map<SequenceHandle, Outcome> outcomes;
  std::map<SequenceHandle, std::size_t> preempted_at;  ///< rows told before its first preemption

  /// A sequence that decodes has a token in each step, unless it had to leave.
  void step() {
    const std::int64_t before = engine->load().preemptions_total;
    const std::vector<SequenceEvent> events = engine->step();
    collect(events, outcomes);
    if (engine->load().preemptions_total == before) return;
    for (const auto& [handle, outcome] : outcomes) {
      const bool decodes = outcome.usage.completion_tokens > 0 && !outcome.finish;
      const auto own = [handle](const SequenceEvent& event) { return event.handle == handle; };
      if (decodes && std::ranges::none_of(events, own)) preempted_at.emplace(handle, outcome.logprobs.size());
    }
  }
};

void count_comparison(Counts& counts, const Setting& setting, bool is_cached, bool is_preempted) {
  counts.add(setting.sequences == 1 ? "batch of 1" : setting.sequences <= 8 ? "batch of 2-8" : "batch of 9-32");
  counts.add("chunk " + (setting.chunk == kAll ? std::string("all") : std::to_string(setting.chunk)));
  counts.add(setting.threads == 1 ? "1 thread" : "2 threads");
  counts.add(setting.prefix_cache ? "cache on" : "cache off");
  counts.add(setting.drafts_batch_max > 0 ? "guesses on" : "guesses off");
  if (is_cached) counts.add("prefix from the cache");
  if (setting.tight_blocks > 0) counts.add("tight");
  if (!is_preempted) return;
  counts.add("after a preemption");
  counts.add(setting.prefix_cache ? "after a preemption, cache on" : "after a preemption, cache off");
}

TEST(RowBook, OneBitOfOneLogitIsADifference) {
  RowBook book;
  const std::vector<float> learnt = {1, 0, 3};
  book.learn({5, 6}, learnt);
  book.check({5, 6}, learnt);
  book.check({5, 7}, std::vector<float>{2, 2, 2});
  EXPECT_FALSE(book.difference().has_value());
  EXPECT_EQ(book.checked(), 1);
  EXPECT_EQ(book.unknown(), 1);
  book.check({5, 6}, std::vector<float>{1, -0.0F, 3});
  ASSERT_TRUE(book.difference().has_value());
  EXPECT_NE(book.difference()->find("logit 1"), std::string::npos) << *book.difference();
}

TEST(EngineInvariance, EveryRequestIsTheSameToTheLastBitWhateverSurroundsIt) {
  const std::int64_t asked = comparisons_asked();
  RowBook book;
  const auto alone = open_with({.sequences = 1, .chunk = kAll, .prefix_cache = false, .threads = 1}, book,
                               WatchedBackend::Role::kLearns);
  ASSERT_NE(alone, nullptr);
  Counts counts;
  std::int64_t compared = 0;
  std::int64_t preemptions = 0;
  std::int64_t tight = 0;
  std::int64_t tight_preempting = 0;
  std::int64_t accepted = 0;
  std::uint64_t settings = 0;
  for (; compared < asked || settings < kFirst.size(); ++settings) {
    SCOPED_TRACE(testing::Message() << "setting " << settings);
    Rng rng(settings + 1);
    const Setting setting = settings < kFirst.size() ? kFirst[settings] : random_setting(rng);
    book.forget();
    Crowd crowd{.engine = open_with(setting, book, WatchedBackend::Role::kChecks), .outcomes = {}, .preempted_at = {}};
    ASSERT_NE(crowd.engine, nullptr);
    const std::int64_t rows_before = book.checked();
    const std::int64_t unknown_before = book.unknown();
    const std::int64_t compared_before = compared;

    std::map<SequenceHandle, Outcome> expected;
    const auto count = static_cast<SequenceHandle>(setting.requests);
    for (SequenceHandle handle = 1; handle <= count; ++handle) {
      const GenerateRequest request =
          setting.tight_blocks > 0 ? growing_request(rng, handle, *alone) : roomy_request(rng, handle);
      ASSERT_TRUE(alone->submit(request));
      while (!alone->idle()) collect(alone->step(), expected);
      ASSERT_TRUE(crowd.engine->submit(request));
      for (std::uint64_t steps = rng.below(setting.tight_blocks > 0 ? 2 : 4); steps > 0; --steps) crowd.step();
    }
    while (!crowd.engine->idle()) crowd.step();
    ASSERT_FALSE(book.difference().has_value()) << *book.difference();
    for (SequenceHandle handle = 1; handle <= count; ++handle) {
      const Outcome& outcome = crowd.outcomes[handle];
      const Outcome& reference = expected[handle];
      ASSERT_EQ(outcome.reasoning, reference.reasoning) << handle;
      ASSERT_EQ(outcome.content, reference.content) << handle;
      ASSERT_EQ(outcome.finish, reference.finish) << handle;
      ASSERT_EQ(outcome.usage.prompt_tokens, reference.usage.prompt_tokens) << handle;
      ASSERT_EQ(outcome.usage.completion_tokens, reference.usage.completion_tokens) << handle;
      ASSERT_EQ(outcome.logprobs.size(), reference.logprobs.size()) << handle;
      const auto thrown_out = crowd.preempted_at.find(handle);
      for (std::size_t n = 0; n < outcome.logprobs.size(); ++n) {
        ASSERT_EQ(outcome.logprobs[n].bytes, reference.logprobs[n].bytes) << handle << " token " << n;
        ASSERT_TRUE(same_bits(outcome.logprobs[n].logprob, reference.logprobs[n].logprob)) << handle << " token " << n;
        const bool is_preempted = thrown_out != crowd.preempted_at.end() && n >= thrown_out->second;
        ASSERT_NO_FATAL_FAILURE(count_comparison(counts, setting, outcome.usage.cached_tokens > 0, is_preempted));
        ++compared;
      }
      accepted += outcome.usage.accepted_tokens;
    }
    EXPECT_GE(book.checked() - rows_before, compared - compared_before) << "a token whose row nobody compared";
    if (setting.drafts_batch_max == 0) {
      EXPECT_EQ(book.unknown(), unknown_before) << "without guesses, every row is one that a token was drawn from";
    }
    const std::int64_t thrown = crowd.engine->load().preemptions_total;
    preemptions += thrown;
    if (setting.tight_blocks > 0) {
      ++tight;
      if (thrown > 0) ++tight_preempting;
    } else {
      EXPECT_EQ(thrown, 0) << "there was room for all";
    }
  }
  std::printf("%lld comparisons in %llu settings, %lld whole rows, 0 differing bits; "
              "%lld preemptions in %lld of %lld tight settings, %lld guesses right\n",
              static_cast<long long>(compared), static_cast<unsigned long long>(settings),
              static_cast<long long>(book.checked()), static_cast<long long>(preemptions),
              static_cast<long long>(tight_preempting), static_cast<long long>(tight), static_cast<long long>(accepted));
  counts.report();
  EXPECT_GT(accepted, 0);
  EXPECT_GE(2 * tight_preempting, tight) << "tight settings are there to preempt";
}

}  // namespace
}  // namespace tidegate::worker
