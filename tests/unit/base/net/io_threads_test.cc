#include "base/net/io_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "base/net/signal.h"
#include "tests/support/coro_wait.h"
#include "tests/support/eventually.h"

namespace tidegate {
namespace {

TEST(IoThreads, WorkRunsOnItsLane) {
  IoThreads threads(2, "test");
  EXPECT_FALSE(threads.is_current(0));
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(threads.run_on(i, [&] { return threads.is_current(i); }));
    EXPECT_FALSE(threads.run_on(i, [&] { return threads.is_current(1 - i); }));
  }
}

TEST(IoThreads, RunOnWaitsForCoroutinesAndPassesResults) {
  IoThreads threads(1);
  const int value = threads.run_on(0, []() -> awaitable<int> {
    co_await test::turn();
    co_return 42;
  });
  EXPECT_EQ(value, 42);
}

TEST(IoThreads, ExceptionsComeBackToTheCaller) {
  IoThreads threads(1);
  EXPECT_THROW(threads.run_on(0, []() -> int { throw std::runtime_error("x"); }), std::runtime_error);
  EXPECT_THROW(threads.run_on(0,
                              []() -> awaitable<void> {
                                throw std::runtime_error("x");
                                co_return;
                              }),
               std::runtime_error);
}

TEST(IoThreads, StopEndsSuspendedCoroutinesAndJoins) {
  std::atomic<bool> destroyed{false};
  struct Guard {
    std::atomic<bool>& flag;
    ~Guard() { flag = true; }
  };
  {
    IoThreads threads(1);
    std::atomic<bool> started{false};
    const auto forever = [&]() -> awaitable<void> {
      const Guard guard{destroyed};
      started = true;
      Event never(threads.executor(0));
      co_await never.wait();
    };
    threads.post_on(0, [&] { asio::co_spawn(threads.context(0), forever(), [](std::exception_ptr) {}); });
    ASSERT_TRUE(test::eventually([&] { return started.load(); }));
    threads.stop();
    threads.stop();
  }
  EXPECT_TRUE(destroyed);
}

}  // namespace
}  // namespace tidegate
