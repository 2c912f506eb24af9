#include "base/rpc/work_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "tests/support/eventually.h"

namespace tidegate::rpc {
namespace {

TEST(WorkPoolTest, FullQueueRefusesAndRunsWhatItTook) {
  std::promise<void> started;
  std::promise<void> release;
  std::atomic<int> runs = 0;
  WorkPool pool(1, 2);
  ASSERT_TRUE(pool.try_submit([&] {
    started.set_value();
    release.get_future().wait();
    ++runs;
  }));
  started.get_future().wait();
  EXPECT_TRUE(pool.try_submit([&] { ++runs; }));
  EXPECT_TRUE(pool.try_submit([&] { ++runs; }));
  EXPECT_EQ(pool.queued(), 2U);
  EXPECT_FALSE(pool.try_submit([&] { ++runs; }));
  release.set_value();
  pool.stop();
  EXPECT_EQ(runs, 3);
}

TEST(WorkPoolTest, StoppedPoolTakesNothing) {
  WorkPool pool(2, 8);
  pool.stop();
  EXPECT_FALSE(pool.try_submit([] {}));
}

TEST(WorkPoolTest, JobsRunSideBySide) {
  WorkPool pool(2, 8);
  std::promise<void> first;
  std::promise<void> second;
  ASSERT_TRUE(pool.try_submit([&] { first.get_future().wait(); second.set_value(); }));
  ASSERT_TRUE(pool.try_submit([&] { first.set_value(); }));
  EXPECT_EQ(second.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

}  // namespace
}  // namespace tidegate::rpc
