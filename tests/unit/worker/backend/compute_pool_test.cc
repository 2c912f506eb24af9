#include "worker/backend/cpu/compute_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace tidegate::worker {
namespace {

class Pool : public testing::TestWithParam<int> {};

TEST_P(Pool, RunsEveryTaskOnceAndItsWritesAreVisible) {
  ComputePool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  for (std::int64_t tasks = 0; tasks < 200; ++tasks) {
    std::vector<int> runs(static_cast<std::size_t>(tasks), 0);  // plain ints: a lost or doubled task shows
    pool.run(tasks, [&](std::int64_t task, int) { ++runs[static_cast<std::size_t>(task)]; });
    EXPECT_EQ(std::accumulate(runs.begin(), runs.end(), 0), tasks);
    EXPECT_TRUE(std::ranges::all_of(runs, [](int n) { return n == 1; }));
  }
}

TEST_P(Pool, ThreadNumbersAreDistinctWhileTasksRun) {
  ComputePool pool(GetParam());
  std::vector<std::int64_t> by_thread(static_cast<std::size_t>(GetParam()),
                                      0);  // one writer each, or a data race
  for (int job = 0; job < 300; ++job) {
    pool.run(16, [&](std::int64_t, int thread) { ++by_thread.at(static_cast<std::size_t>(thread)); });
  }
  EXPECT_EQ(std::accumulate(by_thread.begin(), by_thread.end(), std::int64_t{0}), 300 * 16);
}

TEST_P(Pool, AJobSeesWhatTheOneBeforeWrote) {
  ComputePool pool(GetParam());
  constexpr std::int64_t kTasks = 64;
  std::vector<std::int64_t> now(kTasks, 0);
  std::vector<std::int64_t> next(kTasks, 0);
  for (std::int64_t job = 1; job <= 500; ++job) {
    // Reads what another task, likely on another thread, wrote one job ago.
    pool.run(kTasks, [&](std::int64_t task, int) {
      next[static_cast<std::size_t>(task)] = now[static_cast<std::size_t>((task + job) % kTasks)] + 1;
    });
    std::swap(now, next);
  }
  EXPECT_TRUE(std::ranges::all_of(now, [](std::int64_t v) { return v == 500; }));
}

INSTANTIATE_TEST_SUITE_P(, Pool, testing::Values(1, 2, 5));

TEST(PoolLifetime, StartsAndStopsWithoutWork) {
  for (int i = 0; i < 50; ++i) ComputePool pool(3);
}

}  // namespace
}  // namespace tidegate::worker
