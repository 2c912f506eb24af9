#include "base/net/mailbox.h"

#include <gtest/gtest.h>

#include <boost/asio/this_coro.hpp>
#include <memory>
#include <thread>

#include "base/net/io_threads.h"
#include "tests/support/run_coro.h"

namespace tidegate {
namespace {

TEST(Mailbox, FullRefusesButTheLastMessageAlwaysFits) {
  asio::io_context context(1);
  Mailbox<int> box(context.get_executor(), 2);
  EXPECT_TRUE(box.try_push(1));
  EXPECT_TRUE(box.try_push(2));
  EXPECT_FALSE(box.try_push(3));
  box.push_last(-1);
  EXPECT_EQ(box.size(), 3U);
  EXPECT_EQ(test::run_coro(context, box.pop()), 1);
  EXPECT_EQ(test::run_coro(context, box.pop()), 2);
  EXPECT_EQ(test::run_coro(context, box.pop()), -1);
}

TEST(Mailbox, NothingIsLostOrReorderedAcrossThreads) {
  IoThreads threads(1);
  Mailbox<std::unique_ptr<int>> box(threads.executor(0), 16);
  constexpr int kMessages = 20000;
  std::thread producer([&] {
    for (int i = 0; i < kMessages; ++i) {
      while (!box.try_push(std::make_unique<int>(i))) std::this_thread::yield();
    }
    box.push_last(nullptr);
  });
  const int in_order = threads.run_on(0, [&]() -> awaitable<int> {
    int next = 0;
    while (true) {
      auto message = co_await box.pop();
      if (!message) co_return next;
      if (*message == next) ++next;
    }
  });
  producer.join();
  EXPECT_EQ(in_order, kMessages);
}

TEST(Mailbox, PopUntilGivesUpAtTheDeadline) {
  asio::io_context context(1);
  Mailbox<int> box(context.get_executor(), 2);
  const auto past = Deadline::at(std::chrono::steady_clock::now());
  EXPECT_FALSE(test::run_coro(context, box.pop_until(past)));
  ASSERT_TRUE(box.try_push(7));
  EXPECT_EQ(test::run_coro(context, box.pop_until(past)), 7);
}

}  // namespace
}  // namespace tidegate
