// A Redis that is gone, frozen or restarted: an error at once, never a wait, never a second charge.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "base/redis/redis_client.h"
#include "gateway/adapters/redis_idempotency.h"
#include "tests/support/log_capture.h"
#include "tests/support/redis_server.h"
#include "tests/support/run_coro.h"

namespace tidegate::gateway {
namespace {

using tidegate::test::run_coro;

class RedisAway : public testing::Test {
 protected:
  RedisAway() {
    RedisOptions options;
    options.address = server_.address();
    options.backoff_most = std::chrono::milliseconds(50);
    redis_ = RedisClient::start(context_.get_executor(), std::move(options), log_, metrics_, 1).value();
    EXPECT_TRUE(connected());
    RedisIdempotencyOptions patient;
    patient.wait_max = std::chrono::seconds(20);
    store_ = std::make_unique<RedisIdempotency>(*redis_, patient, clock_);
  }
  bool connected() {
    return run_coro(context_, redis_->wait_connected(Deadline::after(clock_.mono(), std::chrono::seconds(20))));
  }
  /// The reason of a claim's failure, and that it came soon.
  std::string reason_of_claim() {
    const Mono began = clock_.mono();
    const auto claimed = run_coro(context_, store_->claim("name", "digest", "owner"));
    EXPECT_LT(clock_.mono() - began, std::chrono::seconds(10));
    return claimed ? "" : claimed.error().reason;
  }

  tidegate::test::RedisServer server_;
  asio::io_context context_{1};
  SystemClock clock_;
  tidegate::test::LogCapture log_;
  MemoryRegistry metrics_;
  std::unique_ptr<RedisClient> redis_;
  std::unique_ptr<RedisIdempotency> store_;
};

TEST_F(RedisAway, AStoppedServerIsAnErrorAtOnce) {
  ASSERT_EQ(reason_of_claim(), "");
  server_.kill();
  EXPECT_EQ(reason_of_claim(), "idempotency_unavailable");
  EXPECT_EQ(reason_of_claim(), "idempotency_unavailable");
  const auto committed = run_coro(context_, store_->commit("name", "owner"));
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code, Code::kUnavailable);
}

TEST_F(RedisAway, AFrozenServerIsNotWaitedForLong) {
  ASSERT_EQ(reason_of_claim(), "");
  store_ = std::make_unique<RedisIdempotency>(*redis_, RedisIdempotencyOptions(), clock_);
  server_.freeze();
  EXPECT_EQ(reason_of_claim(), "idempotency_unavailable");
  server_.thaw();
}

TEST_F(RedisAway, ItServesAgainWhenRedisIsBack) {
  server_.kill();
  EXPECT_EQ(reason_of_claim(), "idempotency_unavailable");
  server_.start();
  ASSERT_TRUE(connected());
  EXPECT_EQ(reason_of_claim(), "") << "scripts are loaded again; names it held are forgotten with its memory";
}

TEST_F(RedisAway, ANameStandsInRedisForItsTimeAndNoLonger) {
  ASSERT_EQ(reason_of_claim(), "");
  RedisArgs keys{"KEYS", "*"};
  const Deadline soon = Deadline::after(clock_.mono(), std::chrono::seconds(20));
  const auto found = run_coro(context_, redis_->command(keys, soon));
  ASSERT_TRUE(found);
  ASSERT_EQ(found->items.size(), 1U);
  EXPECT_EQ(found->items[0].text, "tg:idem:name");
  RedisArgs left{"PTTL", "tg:idem:name"};
  const auto time = run_coro(context_, redis_->command(left, soon));
  ASSERT_TRUE(time);
  EXPECT_GT(time->integer, 23LL * 3'600'000);
}

}  // namespace
}  // namespace tidegate::gateway
