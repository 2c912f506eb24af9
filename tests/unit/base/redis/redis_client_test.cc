// RedisClient against a peer that misbehaves on cue. The real server is in tests/integration/redis.
#include "base/redis/redis_client.h"

#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "base/net/timer.h"
#include "tests/support/coro_wait.h"
#include "tests/support/log_capture.h"
#include "tests/support/run_coro.h"

namespace tidegate {
namespace {

using asio::ip::tcp;
using namespace asio::experimental::awaitable_operators;

Deadline in(std::chrono::milliseconds span) { return Deadline::at(std::chrono::steady_clock::now() + span); }
Deadline soon() { return in(std::chrono::seconds(20)); }

/// Answers "PING" with PONG, "ECHO x" with x, "SILENT" not at all, "NOISE" with two replies, "HANG UP" by closing.
class MoodyPeer {
 public:
  explicit MoodyPeer(asio::io_context& context) : acceptor_(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
    asio::co_spawn(context, accept(), asio::detached);
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()); }
  int connections() const { return connections_; }
  int commands() const { return commands_; }

 private:
  awaitable<void> accept() {
    while (true) {
      tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
      ++connections_;
      asio::co_spawn(acceptor_.get_executor(), talk(std::move(socket)), asio::detached);
    }
  }
  awaitable<void> talk(tcp::socket socket) {
    std::string got;
    char piece[1024];
    while (true) {
      const auto [error, bytes] = co_await socket.async_read_some(asio::buffer(piece), asio::as_tuple(asio::use_awaitable));
      if (error) co_return;
      got.append(piece, bytes);
      std::string replies;
      // Every command of this test ends with its last argument's CR LF, and holds "$n" lines before each argument.
      while (true) {
        const auto end = find_command_end(got);
        if (end == std::string::npos) break;
        const std::string command = got.substr(0, end);
        got.erase(0, end);
        ++commands_;
        if (command.find("HANG UP") != std::string::npos) co_return;
        replies += answer(command);
      }
      co_await asio::async_write(socket, asio::buffer(replies), asio::as_tuple(asio::use_awaitable));
    }
  }
  /// Reads "*n" and n arguments.
  static std::size_t find_command_end(const std::string& got) {
    std::size_t at = got.find("\r\n");
    if (at == std::string::npos) return at;
    int lines = 2 * std::atoi(got.c_str() + 1);
    while (lines-- > 0) {
      at = got.find("\r\n", at + 2);
      if (at == std::string::npos) return at;
    }
    return at + 2;
  }
  static std::string answer(const std::string& command) {
    if (command.find("PING") != std::string::npos) return "+PONG\r\n";
    if (command.find("SILENT") != std::string::npos) return "";
    if (command.find("NOISE") != std::string::npos) return "+one\r\n+two\r\n";
    const auto last = command.rfind('\n', command.size() - 2) + 1;
    return "+" + command.substr(last);
  }

  tcp::acceptor acceptor_;
  int connections_ = 0;
  int commands_ = 0;
};

class RedisClientTest : public testing::Test {
 protected:
  void SetUp() override {
    RedisOptions options;
    options.address = peer_.address();
    options.connect_timeout = std::chrono::seconds(20);  // connections are counted: none is given up
    options.in_flight_max = 4;
    options.backoff_least = std::chrono::milliseconds(1);
    options.backoff_most = std::chrono::milliseconds(5);
    client_ = *RedisClient::start(context_.get_executor(), std::move(options), log_, metrics_, 1);
    ASSERT_TRUE(test::run_coro(context_, client_->wait_connected(soon())));
  }
  awaitable<Result<RedisReply>> send(std::string a, std::string b, Deadline deadline) {
    RedisArgs args{std::move(a), std::move(b)};
    return client_->command(std::move(args), deadline);
  }
  Result<RedisReply> ask(std::string a, std::string b, Deadline deadline = soon()) {
    return test::run_coro(context_, send(std::move(a), std::move(b), deadline));
  }

  asio::io_context context_{1};
  test::LogCapture log_;
  MemoryRegistry metrics_;
  MoodyPeer peer_{context_};
  std::unique_ptr<RedisClient> client_;
};

TEST_F(RedisClientTest, PipelinedRepliesReachTheirOwnCallers) {
  for (int round = 0; round < 50; ++round) {
    const auto both = test::run_coro(context_, [&]() -> awaitable<bool> {
      auto [a, b, c] = co_await (send("ECHO", "a" + std::to_string(round), soon()) && send("ECHO", "b", soon()) &&
                                 send("ECHO", "c", soon()));
      co_return a->text == "a" + std::to_string(round) && b->text == "b" && c->text == "c";
    }());
    ASSERT_TRUE(both);
  }
  EXPECT_EQ(peer_.connections(), 1);
}

TEST_F(RedisClientTest, ALateReplyIsNobodys) {
  const auto late = ask("SILENT", "x", in(std::chrono::milliseconds(5)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason, "redis_timeout");
  ASSERT_TRUE(test::run_coro(context_, client_->wait_connected(soon())));
  EXPECT_EQ(ask("ECHO", "mine")->text, "mine");
  EXPECT_EQ(peer_.connections(), 2) << "the connection with the unread reply was given up";
}

TEST_F(RedisClientTest, ACancelledCallClosesTheConnectionToo) {
  for (int round = 1; round <= 20; ++round) {
    const auto outcome = test::run_coro(
        context_, with_deadline(send("SILENT", "secret of another user", soon()), in(std::chrono::milliseconds(1)), "it"));
    ASSERT_FALSE(outcome);
    ASSERT_TRUE(test::run_coro(context_, client_->wait_connected(soon())));
    ASSERT_EQ(ask("ECHO", "mine")->text, "mine");
    EXPECT_EQ(peer_.connections(), 1 + round);
  }
}

TEST_F(RedisClientTest, CommandsInFlightWhenTheConnectionBreaksAreOfUnknownOutcome) {
  const auto outcome = test::run_coro(context_, [&]() -> awaitable<std::string> {
    auto [a, b] = co_await (send("SILENT", "x", soon()) && send("HANG", "HANG UP", soon()));
    co_return (a ? "ok" : a.error().reason) + " " + (b ? "ok" : b.error().reason);
  }());
  EXPECT_EQ(outcome, "redis_lost redis_lost");
  EXPECT_EQ(ask("ECHO", "x").error().reason, "redis_down") << "fails at once instead of queueing";
  ASSERT_TRUE(test::run_coro(context_, client_->wait_connected(soon())));
  EXPECT_EQ(ask("ECHO", "again")->text, "again");
  EXPECT_TRUE(log_.has("redis_lost"));
}

TEST_F(RedisClientTest, AnUnaskedReplyEndsTheConnection) {
  EXPECT_EQ(ask("NOISE", "x")->text, "one");
  ASSERT_TRUE(test::run_coro(context_, [&]() -> awaitable<bool> {
    while (peer_.connections() < 2) co_await test::turn();
    co_return co_await client_->wait_connected(soon());
  }()));
  EXPECT_EQ(ask("ECHO", "mine")->text, "mine");
}

TEST_F(RedisClientTest, CommandsInFlightAreBounded) {
  const auto refused = test::run_coro(context_, [&]() -> awaitable<std::string> {
    for (int i = 0; i < 4; ++i) asio::co_spawn(context_, send("SILENT", "x", soon()), asio::detached);
    co_await test::turn();
    auto fifth = co_await send("ECHO", "x", soon());
    co_return fifth ? "ok" : fifth.error().reason;
  }());
  EXPECT_EQ(refused, "redis_full");
}

TEST_F(RedisClientTest, ClosingTheClientEndsWhatWaits) {
  const auto reason = test::run_coro(context_, [&]() -> awaitable<std::string> {
    std::string outcome;
    const auto waiter = [&]() -> awaitable<void> {
      auto reply = co_await send("SILENT", "x", soon());
      outcome = reply ? "ok" : reply.error().reason;
    };
    asio::co_spawn(context_, waiter(), asio::detached);
    co_await test::turn();
    client_.reset();
    while (outcome.empty()) co_await test::turn();
    co_return outcome;
  }());
  EXPECT_EQ(reason, "redis_lost");
}

TEST(RedisClientAddress, NonsenseIsRefused) {
  asio::io_context context(1);
  test::LogCapture log;
  MemoryRegistry metrics;
  for (const char* address : {"", "unix:", "host", "host:", ":6379"}) {
    RedisOptions options;
    options.address = address;
    const auto client = RedisClient::start(context.get_executor(), options, log, metrics, 1);
    ASSERT_FALSE(client) << address;
    EXPECT_EQ(client.error().reason, "bad_address");
  }
}

}  // namespace
}  // namespace tidegate
