#include "base/redis/limit_share.h"

#include <gtest/gtest.h>

#include <map>

#include "base/core/random.h"
#include "tests/support/redis/fake_redis.h"
#include "tests/support/run_coro.h"
#include "tests/support/sim_clock.h"

namespace tidegate {
namespace {

class LimitShareTest : public testing::Test {
 protected:
  Result<LimitShare> take(std::int64_t limit, std::int64_t want, std::int64_t least = 1) {
    return test::run_coro(shares_.take(LimitShareRequest("rpm:k", limit, want, least), Deadline::never()));
  }
  test::SimClock clock_;
  test::FakeRedis redis_{clock_};
  LimitShares shares_{redis_};
};

TEST_F(LimitShareTest, AWindowGrantsItsLimitAndNoMore) {
  EXPECT_EQ(take(100, 60)->granted, 60);
  const auto rest = take(100, 60);
  EXPECT_EQ(rest->granted, 40);
  EXPECT_EQ(rest->left, 0);
  EXPECT_EQ(take(100, 1)->granted, 0);
}

TEST_F(LimitShareTest, ANewWindowStartsAtTheMinute) {
  clock_.advance(std::chrono::milliseconds(20'500));
  const auto first = take(10, 10);
  EXPECT_EQ(first->reset, std::chrono::milliseconds(39'500));
  clock_.advance(first->reset - std::chrono::milliseconds(1));
  EXPECT_EQ(take(10, 1)->granted, 0);
  clock_.advance(std::chrono::milliseconds(1));
  EXPECT_EQ(take(10, 1)->granted, 1);
}

TEST_F(LimitShareTest, AllOrNothingTakesNothingWhenItDoesNotFit) {
  EXPECT_EQ(take(10, 8, 8)->granted, 8);
  EXPECT_EQ(take(10, 3, 3)->granted, 0);
  EXPECT_EQ(take(10, 2, 2)->granted, 2) << "the refused request took nothing";
}

TEST_F(LimitShareTest, ALoweredLimitCountsAtOnce) {
  EXPECT_EQ(take(10, 5)->granted, 5);
  const auto lowered = take(3, 1);
  EXPECT_EQ(lowered->granted, 0);
  EXPECT_EQ(lowered->left, 0);
}

TEST_F(LimitShareTest, RandomTakersNeverExceedTheLimitInAnyWindow) {
  Rng rng(7);
  std::map<std::int64_t, std::int64_t> granted;
  for (int i = 0; i < 3000; ++i) {
    const auto want = static_cast<std::int64_t>(rng.below(20)) + 1;
    const auto least = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(want))) + 1;
    const auto share = take(50, want, least);
    ASSERT_TRUE(share->granted == 0 || (share->granted >= least && share->granted <= want));
    granted[unix_micros(clock_.wall()) / 60'000'000] += share->granted;
    clock_.advance(std::chrono::milliseconds(rng.below(4000)));
  }
  EXPECT_GT(granted.size(), 50U);
  for (const auto& [window, sum] : granted) EXPECT_LE(sum, 50) << window;
}

TEST_F(LimitShareTest, AServerThatForgotItsScriptsGetsThemAgain) {
  EXPECT_EQ(take(10, 4)->granted, 4);
  const int before = redis_.commands();
  EXPECT_EQ(take(10, 1)->granted, 1);
  EXPECT_EQ(redis_.commands(), before + 1) << "by digest alone";
  redis_.forget_everything();
  EXPECT_EQ(take(10, 4)->granted, 4);
}

TEST_F(LimitShareTest, FailuresArePassedOn) {
  redis_.set_connected(false);
  EXPECT_EQ(take(10, 1).error().reason, "redis_down");
  redis_.set_connected(true);
  EXPECT_EQ(take(10, 1)->granted, 1);
  redis_.lose_next_reply();
  EXPECT_EQ(take(10, 1).error().reason, "redis_lost");
  EXPECT_EQ(take(10, 10)->granted, 8) << "the lost reply's share was taken and is not given twice";
}

TEST_F(LimitShareTest, NonsenseIsRefusedBeforeItIsSent) {
  EXPECT_EQ(take(0, 1).error().reason, "bad_limit_share");
  EXPECT_EQ(take(10, 1, 2).error().reason, "bad_limit_share");
  EXPECT_EQ(take(10, 1, 0).error().reason, "bad_limit_share");
  EXPECT_EQ(redis_.commands(), 0);
}

}  // namespace
}  // namespace tidegate
