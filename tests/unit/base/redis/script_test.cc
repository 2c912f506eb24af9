#include "base/redis/script.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/redis/counting_script.h"
#include "tests/support/redis/fake_redis.h"
#include "tests/support/run_coro.h"
#include "tests/support/sim_clock.h"

namespace tidegate {
namespace {

class ScriptTest : public testing::Test {
 protected:
  ScriptTest() { test::add_counting_script(redis_); }
  Result<RedisReply> count(int wanted) {
    RedisArgs keys{"k"}, arguments{std::to_string(wanted), "10"};
    return test::run_coro(script_.run(redis_, std::move(keys), std::move(arguments), Deadline::never()));
  }
  test::SimClock clock_;
  test::FakeRedis redis_{clock_};
  Script script_{test::kCountUpTo};
};

TEST_F(ScriptTest, RunsByItsDigestAloneOnceTheServerKnowsIt) {
  EXPECT_EQ(count(4)->integer, 4);
  const int before = redis_.commands();
  EXPECT_EQ(count(9)->integer, 6);
  EXPECT_EQ(redis_.commands(), before + 1);
}

TEST_F(ScriptTest, AServerThatForgotItGetsItAgain) {
  EXPECT_EQ(count(4)->integer, 4);
  redis_.forget_everything();
  EXPECT_EQ(count(10)->integer, 10);
}

TEST_F(ScriptTest, AStepWhoseReplyWasLostIsNotTakenTwice) {
  redis_.set_connected(false);
  EXPECT_EQ(count(1).error().reason, "redis_down");
  redis_.set_connected(true);
  EXPECT_EQ(count(1)->integer, 1);
  redis_.lose_next_reply();
  EXPECT_EQ(count(1).error().reason, "redis_lost");
  EXPECT_EQ(count(10)->integer, 8) << "it was taken once, and the caller was told that nobody knows";
}

}  // namespace
}  // namespace tidegate
