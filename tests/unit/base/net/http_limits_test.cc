// Slow, silent and greedy clients. Time is simulated: no test waits for a limit to pass.
#include <vector>

#include "tests/support/sim_clock.h"
#include "tests/unit/base/net/http_fixture.h"

namespace tidegate {
namespace {

class HttpLimitsTest : public test::HttpFixture {
 protected:
  void start_simulated(HttpServerOptions options = {}) { start_with(std::move(options), clock_); }
  /// The client has been seen by the server (its bytes are read by a sweep later at the latest).
  void wait_for_connections(std::size_t n) {
    ASSERT_TRUE(test::eventually([&] { return server_->open_connections() == n; }));
  }
  /// What was sent before has been read when this returns: connections go to the two lanes in turn, and each does what
  /// comes in its order. Without it time might pass before a lane that is kept waiting has read anything.
  void let_both_lanes_read() {
    for (int lane = 0; lane < 2; ++lane) {
      auto other = connect();
      other->send(get("/hello"));
      ASSERT_EQ(other->read_answer().status, 200);
    }
  }
  test::SimClock clock_;
};

TEST_F(HttpLimitsTest, AHeadThatDripsIsCutOffAfterTenSeconds) {
  start_simulated();
  auto client = connect();
  client->send("GET / HTTP/1.1\r\n");
  let_both_lanes_read();
  client->send("X: ");
  while (client->read_some(std::chrono::milliseconds(5)) == test::RawClient::Got::kNothing) {
    clock_.advance(std::chrono::seconds(1));
    client->send("a");  // each byte arrives in time; the whole does not
  }
  EXPECT_TRUE(client->received().starts_with("HTTP/1.1 408 ")) << client->received();
  EXPECT_EQ(counted("tidegate_test_http_refusals_total", {{"reason", "header_timeout"}}), 1);
}

TEST_F(HttpLimitsTest, ABodyThatDripsIsCutOffAfterThirtySeconds) {
  start_simulated();
  auto client = connect();
  client->send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n");
  let_both_lanes_read();
  while (client->read_some(std::chrono::milliseconds(5)) == test::RawClient::Got::kNothing) {
    clock_.advance(std::chrono::seconds(2));
    client->send("a");
  }
  EXPECT_TRUE(client->received().starts_with("HTTP/1.1 408 ")) << client->received();
  EXPECT_EQ(counted("tidegate_test_http_refusals_total", {{"reason", "body_timeout"}}), 1);
}

TEST_F(HttpLimitsTest, AnIdleConnectionEndsWithoutAWord) {
  start_simulated();
  auto client = connect();
  client->send(get("/hello"));
  ASSERT_EQ(client->read_answer().status, 200);
  auto got = test::RawClient::Got::kNothing;
  Duration waited{0};
  while (got == test::RawClient::Got::kNothing) {
    clock_.advance(std::chrono::seconds(5));
    waited += std::chrono::seconds(5);
    got = client->read_some(std::chrono::milliseconds(300));
  }
  EXPECT_EQ(got, test::RawClient::Got::kEnd);
  EXPECT_EQ(client->received(), "");
  EXPECT_GE(waited, std::chrono::seconds(75));
}

TEST_F(HttpLimitsTest, AClientThatNeverReadsIsCutOffAndBoundsMemory) {
  start_simulated();
  auto client = connect(4096);
  client->send(get("/endless"));
  // One second a look. The cut must come, and only after 30 seconds without a chunk.
  std::size_t seen = 0;
  Mono last_progress = clock_.mono();
  ASSERT_TRUE(test::eventually(
      [&] {
        if (const std::size_t now = chunks_written_; now != seen) {
          seen = now;
          last_progress = clock_.mono();
        }
        if (failed_writes_ > 0) return true;
        clock_.advance(std::chrono::seconds(1));
        return false;
      },
      std::chrono::seconds(60)));
  EXPECT_GE(clock_.mono() - last_progress, std::chrono::seconds(30));
  EXPECT_LE(seen * 16 * 1024, 4U * 1024 * 1024) << "what the kernel took";
  EXPECT_EQ(last_write_reason_, "write_stall");
  wait_for_connections(0);
}

TEST_F(HttpLimitsTest, ASlowButSteadyReaderIsNotCutOff) {
  start_simulated();
  auto client = connect(4096);
  client->send(get("/endless"));
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(client->read_some(), test::RawClient::Got::kBytes);
    clock_.advance(std::chrono::seconds(5));
  }
  EXPECT_EQ(failed_writes_, 0);
  client->reset();
  ASSERT_TRUE(test::eventually([&] { return failed_writes_ == 1; }));
}

TEST_F(HttpLimitsTest, ConnectionsAboveTheLimitAreTurnedAwayPolitely) {
  HttpServerOptions options;
  options.limits.connections = 3;
  start_simulated(std::move(options));
  std::vector<std::unique_ptr<test::RawClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(connect());
    clients.back()->send(get("/hello"));
    ASSERT_EQ(clients.back()->read_answer().status, 200);
  }
  auto late = connect();
  const auto answer = late->read_answer();
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.head.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_NE(answer.body.find("too_many_connections"), std::string::npos);
  late->close();
  clients.pop_back();
  ASSERT_TRUE(test::eventually([&] { return server_->open_connections() == 2; }));
  auto again = connect();
  again->send(get("/hello"));
  EXPECT_EQ(again->read_answer().status, 200) << "a freed place is usable";
}

TEST_F(HttpLimitsTest, ABodySlowerThanTheLeastRateIsCutOffAfterItsGrace) {
  HttpServerOptions options;
  options.limits.body_bytes_per_second = 100;
  start_simulated(std::move(options));
  auto client = connect();
  client->send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n");
  let_both_lanes_read();
  Duration waited{0};
  // Long before the limit of the whole body, time stands.
  while (waited < std::chrono::seconds(15) &&
         client->read_some(std::chrono::milliseconds(20)) == test::RawClient::Got::kNothing) {
    clock_.advance(std::chrono::seconds(1));
    waited += std::chrono::seconds(1);
    client->send("a");
  }
  EXPECT_TRUE(client->read_until("slower than the least rate")) << client->received();
  EXPECT_TRUE(client->received().starts_with("HTTP/1.1 408 ")) << client->received();
  EXPECT_GE(waited, std::chrono::seconds(5));
}

TEST_F(HttpLimitsTest, OneAddressDoesNotTakeEveryPlace) {
  HttpServerOptions options;
  options.limits.connections_per_address = 2;
  start_simulated(std::move(options));
  std::vector<std::unique_ptr<test::RawClient>> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(connect());
    clients.back()->send(get("/hello"));
    ASSERT_EQ(clients.back()->read_answer().status, 200);
  }
  auto third = connect();
  third->send(get("/hello"));
  EXPECT_EQ(third->read_answer().status, 0);
  EXPECT_EQ(counted("tidegate_test_http_refusals_total", {{"reason", "too_many_from_address"}}), 1);
  clients.pop_back();
  wait_for_connections(1);
  auto again = connect();
  again->send(get("/hello"));
  EXPECT_EQ(again->read_answer().status, 200) << "a freed place is usable";
}

TEST_F(HttpLimitsTest, LimitsChangeWhileTheServerRuns) {
  start_simulated();
  auto client = connect();
  client->send(post("/echo", std::string(2'000, 'x')));
  ASSERT_EQ(client->read_answer().status, 200);
  HttpLimits limits;
  limits.body_bytes = 1'000;
  server_->set_limits(limits);
  // Each lane hears of it by itself; a refused connection ends, so every look is a new one.
  ASSERT_TRUE(test::eventually([&] {
    for (int lane = 0; lane < 2; ++lane) {
      auto fresh = connect();
      fresh->send(post("/echo", std::string(2'000, 'x')));
      if (fresh->read_answer().status != 413) return false;
    }
    return true;
  }));
  client->send(post("/echo", "{}"));
  EXPECT_EQ(client->read_answer().status, 200) << "open connections go on";
}

TEST_F(HttpLimitsTest, ARefusedUploadStillSeesItsAnswer) {
  start_simulated();
  auto client = connect();
  client->send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n");
  // The server has refused by now or will; without lingering, this would turn its answer into an RST.
  client->send(std::string(300'000, 'u'));
  EXPECT_EQ(client->read_answer().status, 413);
}

}  // namespace
}  // namespace tidegate
