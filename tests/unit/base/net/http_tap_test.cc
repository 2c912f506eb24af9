#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "base/net/http_server.h"
#include "base/net/signal.h"
#include "tests/support/coro_wait.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/net/raw_client.h"

namespace tidegate {
namespace {

/// Remembers an answer; may hold its end back.
class CopyTap final : public AnswerTap {
 public:
  explicit CopyTap(bool outlives) : outlives_(outlives) {}
  void on_head(int status, const std::string& content_type, const HttpHeaders& headers, bool is_stream) override {
    const std::lock_guard lock(mutex_);
    head_ = std::to_string(status) + " " + content_type + " " + std::to_string(headers.size()) +
            (is_stream ? " stream" : "");
  }
  void on_body(std::string_view bytes) override {
    const std::lock_guard lock(mutex_);
    body_ += bytes;
  }
  awaitable<void> on_end() override {
    is_held_ = true;
    while (!may_end_) co_await test::turn();
    ++ends_;
  }
  bool outlives_client() const override { return outlives_; }

  std::string head() const {
    const std::lock_guard lock(mutex_);
    return head_;
  }
  std::string body() const {
    const std::lock_guard lock(mutex_);
    return body_;
  }
  std::atomic<bool> may_end_ = true;
  std::atomic<bool> is_held_ = false;
  std::atomic<int> ends_ = 0;

 private:
  const bool outlives_;
  mutable std::mutex mutex_;
  std::string head_, body_;
};

class HttpTap : public testing::TestWithParam<bool> {
 protected:
  HttpTap() {
    HttpServerOptions options;
    options.service = "test";
    HttpHandler handler = [this](HttpExchange& exchange) { return serve(exchange); };
    server_ = HttpServer::start(threads_, std::move(options), std::move(handler), clock_, log_, metrics_).value();
  }
  ~HttpTap() override {
    server_.reset();
    threads_.stop();
  }
  static std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: t\r\n\r\n"; }

  awaitable<void> serve(HttpExchange& exchange) {
    exchange.set_tap(&tap_);
    exchange.on_gone([this] { ++gone_; });
    if (exchange.request().path == "/whole") {
      HttpResponse response(201, "whole", "text/plain");
      response.headers.emplace_back("X-One", "1");
      const Status sent = co_await exchange.respond(std::move(response));
      count(sent);
    } else {
      exchange.begin_stream(200, "text/plain");
      ++begun_;
      while (!go_on_) co_await test::turn();
      const Status one = co_await exchange.write("one ");
      count(one);
      const Status two = co_await exchange.write("two ");
      count(two);
      const Status end = co_await exchange.end_stream("end");
      count(end);
    }
    ++done_;
  }
  void count(const Status& sent) {
    if (sent) ++written_;
  }

  CopyTap tap_{GetParam()};
  std::atomic<int> written_ = 0, gone_ = 0, begun_ = 0, done_ = 0;
  std::atomic<bool> go_on_ = true;
  SystemClock clock_;
  test::LogCapture log_;
  MemoryRegistry metrics_;
  IoThreads threads_{1, "tap"};
  std::unique_ptr<HttpServer> server_;
};

TEST_P(HttpTap, SeesWholeAnswersAndStreamsAsTheClientDoes) {
  test::RawClient client(server_->port());
  client.send(get("/whole"));
  ASSERT_TRUE(client.read_until("whole"));
  EXPECT_EQ(tap_.head(), "201 text/plain 1");
  EXPECT_EQ(tap_.body(), "whole");
  client.send(get("/stream"));
  ASSERT_TRUE(client.read_until("0\r\n\r\n"));
  EXPECT_EQ(tap_.head(), "200 text/plain 0 stream");
  EXPECT_EQ(tap_.body(), "wholeone two end");
  EXPECT_EQ(tap_.ends_, 2);
}

TEST_P(HttpTap, TheEndIsHeldBackUntilTheTapIsDone) {
  tap_.may_end_ = false;
  test::RawClient client(server_->port());
  client.send(get("/stream"));
  ASSERT_TRUE(client.read_until("two "));
  ASSERT_TRUE(test::eventually([&] { return tap_.is_held_.load(); }));
  EXPECT_EQ(client.received().find("end"), std::string::npos);
  tap_.may_end_ = true;
  EXPECT_TRUE(client.read_until("0\r\n\r\n"));
}

TEST_P(HttpTap, ALeavingClientIsNoticedUnlessTheAnswerIsWantedAllTheSame) {
  go_on_ = false;
  test::RawClient client(server_->port());
  client.send(get("/stream"));
  ASSERT_TRUE(test::eventually([&] { return begun_ == 1; }));
  client.reset();
  ASSERT_TRUE(test::eventually([&] { return server_->open_connections() == 1; }));
  if (!GetParam()) {
    ASSERT_TRUE(test::eventually([&] { return gone_ == 1; }));
  }
  go_on_ = true;
  ASSERT_TRUE(test::eventually([&] { return done_ == 1; }));
  EXPECT_EQ(tap_.body(), "one two end");
  if (GetParam()) {
    EXPECT_EQ(written_, 3) << "every write is told to have worked";
    EXPECT_EQ(gone_, 0);
  } else {
    EXPECT_EQ(written_, 0);
  }
  ASSERT_TRUE(test::eventually([&] { return server_->open_connections() == 0; }));
}

INSTANTIATE_TEST_SUITE_P(Taps, HttpTap, testing::Bool(),
                         [](const auto& part) { return part.param ? "OutlivesTheClient" : "EndsWithTheClient"; });

}  // namespace
}  // namespace tidegate
