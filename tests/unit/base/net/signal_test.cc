#include "base/net/signal.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <thread>

#include "base/net/io_threads.h"
#include "base/net/timer.h"
#include "tests/support/run_coro.h"

namespace tidegate {
namespace {

Deadline soon() { return Deadline::at(std::chrono::steady_clock::now() + std::chrono::milliseconds(20)); }
Deadline far() { return Deadline::at(std::chrono::steady_clock::now() + std::chrono::seconds(20)); }

TEST(AsyncSignal, NotificationBeforeTheWaitIsKeptOnce) {
  test::run_coro([]() -> awaitable<void> {
    AsyncSignal signal(co_await asio::this_coro::executor);
    signal.notify();
    signal.notify();
    co_await signal.wait();
    EXPECT_FALSE(co_await signal.wait_until(soon())) << "two notifications are one";
  }());
}

TEST(AsyncSignal, EveryRoundFromAnotherThreadArrives) {
  IoThreads threads(2);
  AsyncSignal ping(threads.executor(0)), pong(threads.executor(1));
  constexpr int kRounds = 2000;
  const auto answer = [&]() -> awaitable<void> {
    for (int i = 0; i < kRounds; ++i) {
      co_await pong.wait();
      ping.notify();
    }
  };
  threads.post_on(1, [&] { asio::co_spawn(threads.context(1), answer(), asio::detached); });
  const int lost = threads.run_on(0, [&]() -> awaitable<int> {
    int missing = 0;
    for (int i = 0; i < kRounds; ++i) {
      pong.notify();
      if (!co_await ping.wait_until(far())) ++missing;
    }
    co_return missing;
  });
  EXPECT_EQ(lost, 0);
}

TEST(AsyncSignal, MayDieWhileANotificationIsQueued) {
  IoThreads threads(1);
  for (int i = 0; i < 200; ++i) {
    AsyncSignal signal(threads.executor(0));
    signal.notify();
  }
  threads.run_on(0, [] {});
}

TEST(Event, StaysSetForEveryWaiter) {
  asio::io_context context(1);
  Event event(context.get_executor());
  int woken = 0;
  const auto waiter = [&]() -> awaitable<void> {
    co_await event.wait();
    ++woken;
  };
  for (int i = 0; i < 3; ++i) asio::co_spawn(context, waiter(), asio::detached);
  test::run_coro(context, [&]() -> awaitable<void> {
    EXPECT_FALSE(co_await event.wait_until(soon()));
    std::thread([&] { event.set(); }).join();
    EXPECT_TRUE(co_await event.wait_until(far()));
    co_await event.wait();
  }());
  context.restart();
  context.run();
  EXPECT_EQ(woken, 3);
  EXPECT_TRUE(event.is_set());
}

}  // namespace
}  // namespace tidegate
