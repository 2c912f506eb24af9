// What a real redis-server does to us when it dies, freezes and comes back.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "base/redis/redis_client.h"
#include "base/redis/script.h"
#include "tests/support/coro_wait.h"
#include "tests/support/log_capture.h"
#include "tests/support/redis/counting_script.h"
#include "tests/support/redis_server.h"
#include "tests/support/run_coro.h"

namespace tidegate::redis_server_test {
namespace {

Deadline in(std::chrono::milliseconds span) { return Deadline::at(std::chrono::steady_clock::now() + span); }
Deadline soon() { return in(std::chrono::seconds(20)); }

class RealRedis : public testing::Test {
 protected:
  void SetUp() override {
    RedisOptions options;
    options.address = server_.address();
    options.backoff_most = std::chrono::milliseconds(50);
    options.connect_timeout = std::chrono::milliseconds(500);
    client_ = *RedisClient::start(context_.get_executor(), std::move(options), log_, metrics_, 1);
    ASSERT_TRUE(connected());
  }
  bool connected() { return test::run_coro(context_, client_->wait_connected(soon())); }
  Result<RedisReply> ask(RedisArgs args, Deadline deadline = soon()) {
    return test::run_coro(context_, client_->command(std::move(args), deadline));
  }

  test::RedisServer server_;
  asio::io_context context_{1};
  test::LogCapture log_;
  MemoryRegistry metrics_;
  std::unique_ptr<RedisClient> client_;
};

TEST_F(RealRedis, ComesBackAfterACrashWithoutHelp) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(ask({"SET", "k", "v"})->text, "OK");
    server_.kill();
    const auto broken = ask({"GET", "k"});
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().code, Code::kUnavailable);
    server_.start();
    ASSERT_TRUE(connected());
    EXPECT_TRUE(ask({"GET", "k"})->is_nil()) << "it kept nothing, and we can work with that";
  }
  EXPECT_EQ(metrics_.value("tidegate_redis_redis_up"), 1);
}

TEST_F(RealRedis, AFrozenServerCostsOneDeadlineThenFailsAtOnce) {
  server_.freeze();
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(ask({"PING"}, in(std::chrono::milliseconds(30))).error().reason, "redis_timeout");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ask({"PING"}, soon()).error().reason, "redis_down");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(15));
  server_.thaw();
  ASSERT_TRUE(connected());
  EXPECT_EQ(ask({"PING"})->text, "PONG");
}

TEST_F(RealRedis, TenThousandPipelinedStepsAreExact) {
  std::int64_t counted = 0;
  int done = 0;
  Script script(test::kCountUpTo);
  const auto counter = [&](int steps) -> awaitable<void> {
    for (int i = 0; i < steps; ++i) {
      RedisArgs keys{"load"}, arguments{"1", "7000"};
      const auto added = co_await script.run(*client_, std::move(keys), std::move(arguments), soon());
      EXPECT_TRUE(added) << added.error().to_string();
      if (added) counted += added->integer;
    }
    ++done;
  };
  const auto all = [&]() -> awaitable<void> {
    for (int i = 0; i < 100; ++i) asio::co_spawn(context_, counter(100), asio::detached);
    while (done < 100) co_await test::turn();
  };
  test::run_coro(context_, all());
  EXPECT_EQ(counted, 7000);
  EXPECT_EQ(metrics_.value("tidegate_redis_redis_commands_in_flight"), 0);
}

}  // namespace
}  // namespace tidegate::redis_server_test
