// One contract, two parts: the fake that unit tests use and a real redis-server.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "base/redis/redis_client.h"
#include "base/redis/script.h"
#include "tests/support/log_capture.h"
#include "tests/support/redis/counting_script.h"
#include "tests/support/redis/fake_redis.h"
#include "tests/support/redis_server.h"
#include "tests/support/run_coro.h"

namespace tidegate::redis_contract_test {
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
      auto fake = std::make_unique<test::FakeRedis>(clock_);
      test::add_counting_script(*fake);
      redis_ = std::move(fake);
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
  Result<RedisReply> count(Script& script, int wanted, int most) {
    RedisArgs keys{key("counted")}, arguments{std::to_string(wanted), std::to_string(most)};
    return test::run_coro(context_, script.run(*redis_, std::move(keys), std::move(arguments), soon()));
  }
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
  Script script(test::kCountUpTo);
  EXPECT_EQ(count(script, 1, 10)->integer, 1);
  ASSERT_EQ(ask({"SCRIPT", "FLUSH"})->text, "OK");
  EXPECT_EQ(count(script, 1, 10)->integer, 1);
}

TEST_P(RedisContract, AScriptIsOneStepThatSeesAndChanges) {
  Script script(test::kCountUpTo);
  EXPECT_EQ(count(script, 4, 10)->integer, 4);
  EXPECT_EQ(count(script, 4, 10)->integer, 4);
  EXPECT_EQ(count(script, 4, 10)->integer, 2);
  EXPECT_EQ(count(script, 4, 10)->integer, 0);
  EXPECT_EQ(ask({"GET", key("counted")})->text, "10");
}

INSTANTIATE_TEST_SUITE_P(Parts, RedisContract, testing::Values(Part::kFake, Part::kReal),
                         [](const auto& part) { return part.param == Part::kFake ? "Fake" : "Real"; });

}  // namespace
}  // namespace tidegate::redis_contract_test
