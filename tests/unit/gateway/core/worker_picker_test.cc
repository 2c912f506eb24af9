#include "gateway/core/worker_picker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "gateway/core/prefix_index.h"

namespace tidegate::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

WorkerView view(std::int64_t ahead, std::int64_t cached = 0, double rate = 1'000) {
  WorkerView out;
  out.tokens_ahead = ahead;
  out.tokens_cached = cached;
  out.prefill_rate = rate;
  return out;
}

TEST(WorkerPicker, TakesTheLeastTimeToTheFirstToken) {
  const WorkerPicker picker({}, 1);
  EXPECT_FALSE(picker.pick({}, 100));
  EXPECT_EQ(picker.pick(std::array{view(500), view(100), view(300)}, 100), 1U);
  EXPECT_EQ(picker.pick(std::array{view(500, 0, 10'000), view(400, 0, 1'000)}, 100), 0U)
      << "a faster worker's queue is shorter";
  auto busy = view(0);
  busy.sequences = 20;
  EXPECT_EQ(picker.pick(std::array{busy, view(0)}, 100), 1U) << "answers in progress slow a prompt down";
}

TEST(WorkerPicker, ACachedPrefixIsWorthAQueueAndNoMore) {
  const WorkerPicker picker({}, 1);
  EXPECT_EQ(picker.pick(std::array{view(1'000, 4'000), view(0)}, 5'000), 0U);
  EXPECT_EQ(picker.pick(std::array{view(9'000, 4'000), view(0)}, 5'000), 1U) << "longer than reading it again";
}

TEST(WorkerPicker, AWrongGuessNeverMakesAPromptFree) {
  const WorkerPicker picker({}, 1);
  EXPECT_GT(picker.cost(view(0, 1'000'000), 100), 0);
  EXPECT_EQ(picker.cost(view(0, 1'000'000), 100), picker.cost(view(0, 99), 100));
  EXPECT_EQ(picker.cost(view(0, -5), 100), picker.cost(view(0, 0), 100));
}

TEST(WorkerPicker, AGreetingThatAllShareDrawsNobody) {
  const WorkerPicker picker({}, 1);
  auto holder = view(0, 400);
  holder.tokens_lifetime = 1;
  EXPECT_EQ(picker.pick(std::array{holder, view(0)}, 10'000), 1U);
  holder.tokens_cached = 600;
  EXPECT_EQ(picker.pick(std::array{holder, view(0)}, 10'000), 0U);
}

TEST(WorkerPicker, TiesGoToWhoWasGivenLeast) {
  const WorkerPicker picker({}, 1);
  auto one = view(0);
  one.tokens_lifetime = 10;
  auto two = view(0);
  two.tokens_lifetime = 9;
  EXPECT_EQ(picker.pick(std::array{one, two, one}, 100), 1U);
}

/// Everybody asks for the same long prefix at once. Its holder gets a queue as long as reading it elsewhere, then the
/// next worker reads it and holds it from there on.
TEST(WorkerPicker, AHotPrefixSpillsToFurtherWorkers) {
  constexpr std::size_t kWorkers = 8;
  constexpr std::int64_t kPrompt = 10'240;  // 40 blocks of which all but the last are shared
  const WorkerPicker picker({}, 1);
  PrefixIndex index(100'000);
  std::vector<std::uint64_t> hot;
  for (std::uint64_t mark = 1; mark < 40; ++mark) hot.push_back(mark);
  std::array<WorkerView, kWorkers> workers;
  workers.fill(view(0));
  for (std::size_t i = 0; i < kWorkers; ++i) ASSERT_EQ(index.join("w" + std::to_string(i), "m", 0), i);
  std::array<int, kWorkers> given{};
  std::int64_t computed = 0;
  for (int request = 0; request < 400; ++request) {
    std::vector<PrefixIndex::Match> found;
    index.match(hot, found);
    for (WorkerView& worker : workers) worker.tokens_cached = 0;
    for (const auto& match : found) workers[match.holder].tokens_cached = index.tokens_of(match.holder, match.blocks);
    const std::size_t chosen = *picker.pick(workers, kPrompt);
    const std::int64_t work = kPrompt - workers[chosen].tokens_cached;
    computed += work;
    workers[chosen].tokens_ahead += work;
    workers[chosen].tokens_lifetime += work;
    index.insert(static_cast<PrefixIndex::Holder>(chosen), hot);
    ++given[chosen];
  }
  EXPECT_GT(*std::ranges::min_element(given), 10) << "every worker serves it in the end";
  EXPECT_LT(computed, 400 * 300 + static_cast<std::int64_t>(kWorkers) * kPrompt) << "each reads it whole once at most";
}

TEST(WorkerPicker, ManyWorkersAreSampledWithThoseThatHoldThePrompt) {
  WorkerPicker picker({}, 7);
  EXPECT_EQ(picker.shortlist(64, {}).size(), 64U);
  const std::array<std::size_t, 3> holders{900, 3, 512};
  std::set<std::size_t> seen;
  for (int i = 0; i < 2'000; ++i) {
    const auto list = picker.shortlist(1'000, holders);
    ASSERT_LE(list.size(), 8U + holders.size());
    ASSERT_TRUE(std::ranges::is_sorted(list));
    ASSERT_EQ(std::ranges::adjacent_find(list), list.end());
    for (const std::size_t holder : holders) ASSERT_TRUE(std::ranges::binary_search(list, holder));
    ASSERT_LT(list.back(), 1'000U);
    seen.insert(list.begin(), list.end());
  }
  EXPECT_GT(seen.size(), 990U) << "everyone has a turn";
  std::vector<std::size_t> all(1'000);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  EXPECT_LE(picker.shortlist(1'000, all).size(), 16U) << "a prefix that all hold is no reason to scan";
}

TEST(WorkerPicker, ANewcomerTakesMoreAndMore) {
  const WorkerPicker picker({.slow_start = seconds(10)}, 1);
  EXPECT_EQ(picker.ramp_limit(Duration::zero(), 64), 1) << "it must show what it can do";
  EXPECT_EQ(picker.ramp_limit(seconds(5), 64), 32);
  EXPECT_GE(picker.ramp_limit(seconds(10), 64), 64);
  EXPECT_TRUE(picker.is_ramping(milliseconds(9'999)));
  EXPECT_FALSE(picker.is_ramping(seconds(10)));
  const WorkerPicker none({.slow_start = Duration::zero()}, 1);
  EXPECT_EQ(none.ramp_limit(Duration::zero(), 64), std::numeric_limits<std::int64_t>::max());
}

}  // namespace
}  // namespace tidegate::gateway
