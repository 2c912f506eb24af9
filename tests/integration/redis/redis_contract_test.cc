// One contract, two parts: the fake that unit tests use and a real redis-server.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "base/redis/limit_share.h"
#include "base/redis/redis_client.h"
#include "tests/support/log_capture.h"
#include "tests/support/redis/fake_redis.h"
#include "tests/support/redis_server.h"
#include "tests/support/run_coro.h"

namespace tidegate {
namespace {

Deadline soon() { return Deadline::at(std::chrono::steady_clock::now() + std::chrono::seconds(20)); }

/// The real server, shared by all tests of this process; each test uses keys of its own.
test::RedisServer& shared_server() {
  static test::RedisServer server;
  return server;
}

enum class Part { kFake, kReal };

class RedisContract : public testing::TestWithParam<Part> {
 protected:
  void SetUp() override {
    if (GetParam() == Part::kFake) {
      redis_ = std::make_unique<test::FakeRedis>(clock_);
      return;
    }
    RedisOptions options;
    options.address = shared_server().address();
    auto client = RedisClient::start(context_.get_executor(), std::move(options), log_, metrics_, 1);
    ASSERT_TRUE(client);
    ASSERT_TRUE(test::run_coro(context_, (*client)->wait_connected(soon())));
    redis_ = *std::move(client);
  }
  Result<RedisReply> ask(RedisArgs args) { return test::run_coro(context_, redis_->command(std::move(args), soon())); }
  /// A name no other test uses.
  static std::string key(const std::string& name) {
    return std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ":" + name;
  }

  asio::io_context context_{1};
  SystemClock clock_;
  test::LogCapture log_;
  MemoryRegistry metrics_;
  std::unique_ptr<Redis> redis_;
};

TEST_P(RedisContract, ValuesComeBackByteForByte) {
  std::string value;
  for (int byte = 0; byte < 256; ++byte) value += static_cast<char>(byte);
  EXPECT_EQ(ask({"SET", key("k"), value})->text, "OK");
  EXPECT_EQ(ask({"GET", key("k")})->text, value);
  EXPECT_EQ(ask({"DEL", key("k")})->integer, 1);
  EXPECT_TRUE(ask({"GET", key("k")})->is_nil());
  EXPECT_EQ(ask({"DEL", key("k")})->integer, 0);
}

TEST_P(RedisContract, SetIfAbsentIsWonOnce) {
  EXPECT_EQ(ask({"SET", key("k"), "first", "NX", "PX", "60000"})->text, "OK");
  EXPECT_TRUE(ask({"SET", key("k"), "second", "NX", "PX", "60000"})->is_nil());
  EXPECT_EQ(ask({"GET", key("k")})->text, "first");
  const auto left = ask({"PTTL", key("k")})->integer;
  EXPECT_GT(left, 0);
  EXPECT_LE(left, 60000);
}

TEST_P(RedisContract, KeysExpire) {
  ASSERT_EQ(ask({"SET", key("k"), "v", "PX", "20"})->text, "OK");
  EXPECT_TRUE(test::eventually([&] { return ask({"GET", key("k")})->is_nil(); }));
  EXPECT_EQ(ask({"PTTL", key("k")})->integer, -2);
}

TEST_P(RedisContract, CountersAndTheirErrors) {
  EXPECT_EQ(ask({"INCRBY", key("n"), "5"})->integer, 5);
  EXPECT_EQ(ask({"INCRBY", key("n"), "-7"})->integer, -2);
  EXPECT_EQ(ask({"SET", key("n"), "text"})->text, "OK");
  EXPECT_EQ(ask({"INCRBY", key("n"), "1"}).error().reason, "redis_error");
  EXPECT_EQ(ask({"NONSENSE", key("n")}).error().reason, "redis_error");
}

TEST_P(RedisContract, AnUnknownScriptIsNamedAndLoadedAgain) {
  EXPECT_EQ(ask({"EVALSHA", std::string(40, '0'), "0"}).error().reason, "redis_noscript");
  LimitShares shares(*redis_);
  const LimitShareRequest request(key("k"), 1000, 1, 1);
  ASSERT_TRUE(test::run_coro(context_, shares.take(request, soon())));
  ASSERT_EQ(ask({"SCRIPT", "FLUSH"})->text, "OK");
  EXPECT_TRUE(test::run_coro(context_, shares.take(request, soon())));
}

TEST_P(RedisContract, SharesOfALimitAddUpToIt) {
  LimitShares shares(*redis_);
  LimitShareRequest request(key("k"), 10, 4, 1);
  request.window = std::chrono::hours(1);
  const auto take = [&] { return *test::run_coro(context_, shares.take(request, soon())); };
  LimitShare share = take();
  EXPECT_EQ(share.granted, 4);
  EXPECT_EQ(share.left, 6);
  EXPECT_GT(share.reset.count(), 0);
  EXPECT_LE(share.reset, request.window);
  EXPECT_EQ(take().granted, 4);
  request.least = 3;
  EXPECT_EQ(take().granted, 0) << "two are left, fewer than are of use";
  request.least = 1;
  share = take();
  EXPECT_EQ(share.granted, 2);
  EXPECT_EQ(share.left, 0);
  EXPECT_EQ(take().granted, 0);
}

TEST_P(RedisContract, ANewWindowGrantsAnew) {
  LimitShares shares(*redis_);
  LimitShareRequest request(key("k"), 5, 5, 5);
  request.window = std::chrono::milliseconds(50);
  int windows = 0;
  EXPECT_TRUE(test::eventually([&] {
    const auto share = *test::run_coro(context_, shares.take(request, soon()));
    EXPECT_TRUE(share.granted == 0 || share.granted == 5);
    windows += share.granted == 5 ? 1 : 0;
    return windows == 4;
  }));
}

TEST_P(RedisContract, EachLimitHasACountAndAWindowOfItsOwn) {
  LimitShares shares(*redis_);
  LimitShareRequest requests(key("requests"), 3, 3, 1), tokens(key("tokens"), 100, 100, 1);
  requests.window = std::chrono::hours(24);
  tokens.window = std::chrono::milliseconds(50);
  const auto take = [&](const LimitShareRequest& what) { return *test::run_coro(context_, shares.take(what, soon())); };
  EXPECT_EQ(take(requests).granted, 3);
  int windows = 0;
  EXPECT_TRUE(test::eventually([&] {
    windows += take(tokens).granted == 100 ? 1 : 0;
    return windows == 3;
  })) << "what the other limit has used is nothing to this one";
  EXPECT_EQ(take(requests).granted, 0) << "nor do the windows that passed there end the one here";
}

INSTANTIATE_TEST_SUITE_P(Parts, RedisContract, testing::Values(Part::kFake, Part::kReal),
                         [](const auto& part) { return part.param == Part::kFake ? "Fake" : "Real"; });

}  // namespace
}  // namespace tidegate
