#include "gateway/money/balance_cache.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/net/signal.h"
#include "tests/support/run_coro.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/sim_clock.h"

namespace tidegate::gateway::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using tidegate::test::run_coro;
using tidegate::test::SequentialIds;

/// Billing, whose every answer says how often it was asked.
class Counting final : public Balances {
 public:
  explicit Counting(asio::io_context& context) {
    hold(context);
    let_go();
  }
  awaitable<Result<Balance>> find(TenantId, WalletId) override {
    ++asked;
    const int number = asked;
    co_await open_->wait();
    if (is_away) co_return fail(Code::kUnavailable, "rpc_unavailable", "away");
    Balance balance;
    balance.currency = std::to_string(number);
    co_return balance;
  }
  /// From here on nobody is answered until let_go().
  void hold(asio::io_context& context) { open_ = std::make_unique<Event>(context.get_executor()); }
  void let_go() { open_->set(); }

  int asked = 0;
  bool is_away = false;

 private:
  std::unique_ptr<Event> open_;
};

class BalanceCacheTest : public testing::Test {
 protected:
  static TenantId tenant(std::uint64_t n) { return TenantId{SequentialIds::make(n)}; }
  static WalletId wallet(std::uint64_t n) { return WalletId{SequentialIds::make(100 + n)}; }
  /// The answer's number, or its reason.
  std::string ask(std::uint64_t who = 1) {
    const auto answer = run_coro(context_, cache_.find(tenant(who), wallet(who)));
    return answer ? answer->currency : answer.error().reason;
  }

  asio::io_context context_{1};
  tidegate::test::SimClock clock_;
  Counting billing_{context_};
  BalanceCache cache_{billing_, {.keep = seconds(1), .lookups_per_second = 3}, clock_};
};

TEST_F(BalanceCacheTest, IsAskedOnceInItsTime) {
  EXPECT_EQ(ask(), "1");
  clock_.advance(milliseconds(999));
  EXPECT_EQ(ask(), "1");
  clock_.advance(milliseconds(1));
  EXPECT_EQ(ask(), "2");
  EXPECT_EQ(ask(2), "3") << "another tenant's is another";
}

TEST_F(BalanceCacheTest, WhoAsksWhileItIsLookedUpSharesTheAnswer) {
  billing_.hold(context_);
  std::vector<std::string> heard;
  for (int i = 0; i < 3; ++i) {
    asio::co_spawn(context_, cache_.find(tenant(1), wallet(1)),
                   [&](std::exception_ptr thrown, Result<Balances::Balance> answer) {
                     EXPECT_EQ(thrown, nullptr);
                     heard.push_back(answer ? answer->currency : answer.error().reason);
                   });
  }
  context_.restart();
  context_.poll();
  EXPECT_TRUE(heard.empty());
  EXPECT_EQ(billing_.asked, 1);
  billing_.let_go();
  context_.restart();
  context_.run();
  EXPECT_EQ(heard, (std::vector<std::string>{"1", "1", "1"}));
}

TEST_F(BalanceCacheTest, BeyondTheRateTheLastOneIsToldOrTheCallerRefused) {
  EXPECT_EQ(ask(1), "1");
  EXPECT_EQ(ask(2), "2");
  EXPECT_EQ(ask(3), "3");
  EXPECT_EQ(ask(4), "rate_limit_exceeded");
  clock_.advance(milliseconds(400));
  EXPECT_EQ(ask(4), "4");
  clock_.advance(milliseconds(700));  // two more
  EXPECT_EQ(ask(5), "5");
  EXPECT_EQ(ask(6), "6");
  EXPECT_EQ(ask(1), "1") << "rather an older one than none";
}

TEST_F(BalanceCacheTest, WhomNobodyCanWaitForIsToldTheLastOneAndItsAge) {
  EXPECT_EQ(ask(), "1");
  clock_.advance(seconds(5));
  billing_.hold(context_);
  std::vector<std::string> heard;
  for (std::size_t i = 0; i < 1 + BalanceCache::kWaitersMax; ++i) {
    asio::co_spawn(context_, cache_.find(tenant(1), wallet(1)),
                   [&](std::exception_ptr, Result<Balances::Balance> answer) {
                     heard.push_back(answer ? answer->currency : answer.error().reason);
                   });
  }
  context_.restart();
  context_.poll();
  const auto last = run_coro(context_, cache_.find(tenant(1), wallet(1)));
  ASSERT_TRUE(last) << last.error().to_string();
  EXPECT_EQ(last->currency, "1");
  EXPECT_EQ(last->age, seconds(5));
  clock_.advance(BalanceCache::kStaleMax);
  EXPECT_EQ(ask(), "rate_limit_exceeded") << "what is older is not told";
  billing_.let_go();
  context_.restart();
  context_.run();
  EXPECT_EQ(heard, std::vector<std::string>(1 + BalanceCache::kWaitersMax, "2"));
  const auto fresh = run_coro(context_, cache_.find(tenant(1), wallet(1)));
  ASSERT_TRUE(fresh);
  EXPECT_EQ(fresh->age, Duration::zero());
}

TEST_F(BalanceCacheTest, AFailureIsNotKept) {
  billing_.is_away = true;
  EXPECT_EQ(ask(), "rpc_unavailable");
  billing_.is_away = false;
  EXPECT_EQ(ask(), "2");
}

}  // namespace
}  // namespace tidegate::gateway::test
