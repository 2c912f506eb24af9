#include "gateway/adapters/pooled_guard.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tests/support/run_coro.h"
#include "tests/unit/gateway/guard/guard_world.h"

namespace tidegate::gateway::test {
namespace {

using tidegate::test::run_coro;

/// One thread, which a test keeps busy until it lets go, and one place in its queue.
struct BusyPool {
  BusyPool() {
    auto held = std::make_shared<std::future<void>>(free.get_future());
    auto begun = std::make_shared<std::promise<void>>();
    auto is_begun = begun->get_future();
    EXPECT_TRUE(pool.try_submit([held, begun] {
      begun->set_value();
      held->wait();
    }));
    is_begun.wait();
  }
  ~BusyPool() { let_go(); }
  void let_go() {
    if (!std::exchange(is_free, true)) free.set_value();
  }

  std::promise<void> free;
  bool is_free = false;
  rpc::WorkPool pool{1, 1, "guard"};
};

struct LongText {
  explicit LongText(std::size_t bytes) : text(bytes, 'x') { text += " moonlight"; }
  GuardCheck check() const { return {subject, GuardDirection::kInput, {whole_text(text)}, 512}; }
  GuardSubject subject = subject_of();
  std::string text;
};

RuleBook moon() { return book_of({rule_of("moon", "moonlight", GuardAction::kMask)}); }

TEST(PooledGuard, AShortTextIsJudgedAtOnceWithoutThePool) {
  BusyPool busy;
  PooledGuard guard(moon(), busy.pool);
  const LongText text(100);
  const GuardCheck check = text.check();
  const auto verdict = run_coro(guard.check(check));
  ASSERT_TRUE(verdict) << verdict.error().to_string();
  EXPECT_EQ(verdict->spans.size(), 1U);
}

TEST(PooledGuard, ALongTextWaitsForThePoolAndItsThreadGoesOnServing) {
  BusyPool busy;
  PooledGuard guard(moon(), busy.pool);
  const LongText text(PooledGuard::kHereBytesMax);
  const GuardCheck check = text.check();
  asio::io_context context(1);
  std::optional<Result<GuardVerdict>> verdict;
  asio::co_spawn(context, guard.check(check), [&](std::exception_ptr thrown, Result<GuardVerdict> result) {
    EXPECT_EQ(thrown, nullptr);
    verdict = std::move(result);
  });
  context.poll();  // returns: nothing was judged here
  EXPECT_FALSE(verdict);
  busy.let_go();
  context.restart();
  context.run();
  ASSERT_TRUE(verdict && *verdict);
  ASSERT_EQ((*verdict)->spans.size(), 1U);
  EXPECT_EQ((*verdict)->spans[0].replacement, "[moon]");
  EXPECT_EQ((*verdict)->decided.at(0), text.text.size());
}

TEST(PooledGuard, AFullQueueIsAFailureAtOnce) {
  BusyPool busy;
  ASSERT_TRUE(busy.pool.try_submit([] {}));
  PooledGuard guard(moon(), busy.pool);
  const LongText text(PooledGuard::kHereBytesMax);
  const GuardCheck check = text.check();
  const auto verdict = run_coro(guard.check(check));
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().reason, "guard_busy");
}

TEST(PooledGuard, WhoGaveUpIsNotJudged) {
  BusyPool busy;
  PooledGuard guard(moon(), busy.pool);
  const LongText text(PooledGuard::kHereBytesMax);
  const GuardCheck check = text.check();
  asio::io_context context(1);
  asio::cancellation_signal signal;
  std::optional<Result<GuardVerdict>> verdict;
  auto done = [&](std::exception_ptr thrown, Result<GuardVerdict> result) {
    EXPECT_EQ(thrown, nullptr);
    verdict = std::move(result);
  };
  asio::co_spawn(context, guard.check(check), asio::bind_cancellation_slot(signal.slot(), done));
  context.poll();
  signal.emit(asio::cancellation_type::terminal);
  context.poll();  // the loop hands the signal on
  busy.let_go();
  context.restart();
  context.run();
  ASSERT_TRUE(verdict);
  ASSERT_FALSE(*verdict);
  EXPECT_EQ(verdict->error().reason, "guard_given_up");
}

}  // namespace
}  // namespace tidegate::gateway::test
