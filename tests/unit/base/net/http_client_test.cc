#include "base/net/http_client.h"

#include "tests/support/run_coro.h"
#include "tests/unit/base/net/http_fixture.h"

namespace tidegate {
namespace {

class HttpClientTest : public test::HttpFixture {
 protected:
  Deadline soon() const { return Deadline::at(std::chrono::steady_clock::now() + std::chrono::seconds(20)); }
  std::string url(const std::string& target) const { return "http://" + server_->address() + target; }
};

TEST_F(HttpClientTest, KeepsOneConnectionForManyRequests) {
  start();
  const auto work = [&]() -> awaitable<int> {
    auto client = co_await HttpClient::connect("127.0.0.1", std::to_string(server_->port()), soon());
    int good = 0;
    for (int i = 0; i < 20; ++i) {
      HttpClientRequest request("POST", "/echo", "{\"n\":" + std::to_string(i) + "}");
      const std::string sent = request.body;
      const auto answer = co_await (*client)->request(std::move(request), soon());
      good += answer && answer->status == 200 && answer->body == sent ? 1 : 0;
    }
    co_return good;
  };
  EXPECT_EQ(test::run_coro(work()), 20);
  EXPECT_EQ(counted("tidegate_test_http_connections_total"), 1);
}

TEST_F(HttpClientTest, StreamsToTheSinkAndCanBeStopped) {
  start();
  std::string got;
  const auto whole = http_fetch(url("/stream?n=100"), HttpClientRequest("GET", ""), std::chrono::seconds(20),
                                [&](int status, std::string_view bytes) {
                                  EXPECT_EQ(status, 200);
                                  got += bytes;
                                  return true;
                                });
  ASSERT_TRUE(whole) << whole.error().to_string();
  EXPECT_TRUE(got.ends_with("chunk 99\nend\n"));
  EXPECT_EQ(whole->body, "");

  const auto stopped = http_fetch(url("/endless"), HttpClientRequest("GET", ""), std::chrono::seconds(20),
                                  [](int, std::string_view) { return false; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().reason, "stopped_by_sink");
  EXPECT_TRUE(test::eventually([&] { return gone_ == 1; }));
}

TEST_F(HttpClientTest, DeadlineEndsTheExchangeAndTheConnection) {
  start();
  // On a machine that stands still the time may be over before the request is there: then the next one shows it.
  EXPECT_TRUE(test::eventually([&] {
    const auto late = http_fetch(url("/wait"), HttpClientRequest("GET", ""), std::chrono::milliseconds(50));
    EXPECT_TRUE(!late && late.error().code == Code::kDeadlineExceeded);
    return gone_ > 0;
  }));
  EXPECT_TRUE(test::eventually([&] { return server_->open_connections() == 0; }));
}

TEST_F(HttpClientTest, FailuresHaveNames) {
  start();
  EXPECT_EQ(http_fetch(url("/half"), HttpClientRequest("GET", ""), std::chrono::seconds(20)).error().reason,
            "connection_lost");
  const std::string gone = url("/hello");
  server_.reset();
  EXPECT_EQ(http_fetch(gone, HttpClientRequest("GET", ""), std::chrono::seconds(20)).error().reason, "connect_failed");
}

}  // namespace
}  // namespace tidegate
