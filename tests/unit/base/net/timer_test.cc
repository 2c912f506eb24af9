#include "base/net/timer.h"

#include <gtest/gtest.h>

#include <boost/asio/this_coro.hpp>

#include "base/net/signal.h"
#include "tests/support/run_coro.h"

namespace tidegate {
namespace {

Deadline in(std::chrono::milliseconds span) { return Deadline::at(std::chrono::steady_clock::now() + span); }

awaitable<Result<int>> answer_after(std::chrono::milliseconds span) {
  co_await sleep_for(span);
  co_return 42;
}

struct Flag {
  explicit Flag(bool& target_in) : target(target_in) {}
  ~Flag() { target = true; }
  bool& target;
};
awaitable<Result<int>> never(bool& ended) {
  const Flag flag(ended);
  AsyncSignal signal(co_await asio::this_coro::executor);
  co_await signal.wait();
  co_return 0;
}

TEST(WithDeadline, FastWorkWins) {
  const auto result = test::run_coro(with_deadline(answer_after(std::chrono::milliseconds(1)), in(std::chrono::seconds(20)), "work"));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 42);
}

TEST(WithDeadline, LateWorkIsCancelledAndEndedBeforeTheReturn) {
  bool ended = false;
  const auto result = test::run_coro(with_deadline(never(ended), in(std::chrono::milliseconds(5)), "the lookup"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kDeadlineExceeded);
  EXPECT_EQ(result.error().message, "the lookup took longer than its deadline allows");
  EXPECT_TRUE(ended);
}

TEST(Sleep, NeverWakesEarly) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(15);
  test::run_coro(sleep_until(Deadline::at(until)));
  EXPECT_GE(std::chrono::steady_clock::now(), until);
}

}  // namespace
}  // namespace tidegate
