#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "base/net/http_server.h"
#include "base/net/signal.h"
#include "tests/support/coro_wait.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/net/raw_client.h"

namespace tidegate::test {

/// A server on a free port with two lanes and a small site:
///   GET /hello   POST /echo   GET /stream?n=   GET /endless (chunks until the client is gone)
///   GET /now (10 MB by writes that do not wait, until one is held up; then a flush, and on)
///   GET /wait (holds the request until release() or the client is gone)   GET /throw   GET /silent   GET /half
class HttpFixture : public testing::Test {
 protected:
  /// Before the members of a derived fixture go, as the clock that the server reads.
  void TearDown() override {
    server_.reset();
    threads_.stop();
  }
  void start(HttpServerOptions options = {}) { start_with(std::move(options), system_clock_); }
  void start_with(HttpServerOptions options, const Clock& clock) {
    options.service = "test";
    HttpHandler handler = [this](HttpExchange& exchange) { return serve(exchange); };
    auto started = HttpServer::start(threads_, std::move(options), std::move(handler), clock, log_, metrics_);
    ASSERT_TRUE(started) << started.error().to_string();
    server_ = *std::move(started);
  }
  std::unique_ptr<RawClient> connect(int receive_buffer_bytes = 0) {
    return std::make_unique<RawClient>(server_->port(), receive_buffer_bytes);
  }
  static std::string get(const std::string& target, const std::string& more = {}) {
    return "GET " + target + " HTTP/1.1\r\nHost: t\r\n" + more + "\r\n";
  }
  static std::string post(const std::string& target, const std::string& body) {
    return "POST " + target + " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  double counted(const std::string& name, const Labels& labels = {}) const { return metrics_.value(name, labels); }

  std::atomic<int> gone_{0};      ///< clients whose leaving a handler was told about
  std::atomic<int> waiting_{0};   ///< handlers inside /wait
  std::atomic<int> failed_writes_{0};
  std::atomic<int> held_up_{0};  ///< writes of /now that the kernel did not take whole
  static constexpr int kNowChunks = 100;
  static constexpr std::size_t kNowChunkBytes = 100'000;
  std::atomic<std::size_t> chunks_written_{0};
  std::atomic<bool> released_{false};
  std::string last_write_reason_;  ///< read after failed_writes_

  SystemClock system_clock_;
  LogCapture log_;
  MemoryRegistry metrics_;
  IoThreads threads_{2, "test"};
  std::unique_ptr<HttpServer> server_;

 private:
  awaitable<void> serve(HttpExchange& exchange) {
    const HttpRequest& request = exchange.request();
    if (request.path == "/hello") {
      HttpResponse response(200, "hello", "text/plain");
      co_await exchange.respond(std::move(response));
    } else if (request.path == "/echo") {
      HttpResponse response(200, std::string(request.body));
      response.headers.emplace_back("X-Query", std::string(request.query));
      co_await exchange.respond(std::move(response));
    } else if (request.path == "/stream") {
      co_await stream(exchange, std::stoi("0" + query_value(request.query, "n")));
    } else if (request.path == "/endless") {
      co_await endless(exchange);
    } else if (request.path == "/now") {
      co_await now(exchange);
    } else if (request.path == "/wait") {
      co_await wait(exchange);
    } else if (request.path == "/throw") {
      throw std::runtime_error("secret of the handler");
    } else if (request.path == "/half") {
      exchange.begin_stream(200, "text/plain");
      co_await exchange.write("half of it");
    }  // "/silent" and the rest: no answer at all
  }

  awaitable<void> stream(HttpExchange& exchange, int n) {
    exchange.begin_stream(200, "text/event-stream");
    for (int i = 0; i < n; ++i) {
      const std::string chunk = "chunk " + std::to_string(i) + "\n";
      if (!co_await exchange.write(chunk)) co_return;
    }
    co_await exchange.end_stream("end\n");
  }

  awaitable<void> endless(HttpExchange& exchange) {
    exchange.on_gone([this] { ++gone_; });
    exchange.begin_stream(200, "text/plain");
    const std::string chunk(16 * 1024, 'x');
    while (true) {
      const Status status = co_await exchange.write(chunk);
      if (!status) {
        last_write_reason_ = status.error().reason;
        ++failed_writes_;
        co_return;
      }
      ++chunks_written_;
      co_await test::turn();
    }
  }

  awaitable<void> now(HttpExchange& exchange) {
    exchange.begin_stream(200, "text/plain");
    for (int i = 0; i < kNowChunks; ++i) {
      const std::string chunk(kNowChunkBytes, static_cast<char>('a' + i % 26));
      const HttpExchange::Written written = exchange.write_now(chunk);
      if (written == HttpExchange::Written::kFailed) {
        ++failed_writes_;
        co_return;
      }
      if (written == HttpExchange::Written::kAll) continue;
      ++held_up_;
      constexpr std::string_view kNothingMore;
      const Status flushed = co_await exchange.write(kNothingMore);
      if (!flushed) co_return;
    }
    co_await exchange.end_stream("end\n");
  }

  awaitable<void> wait(HttpExchange& exchange) {
    Event gone(exchange.executor());
    exchange.on_gone([this, &gone] {
      ++gone_;
      gone.set();
    });
    ++waiting_;
    while (!gone.is_set() && !released_) {
      co_await gone.wait_until(Deadline::at(std::chrono::steady_clock::now() + std::chrono::milliseconds(2)));
    }
    --waiting_;
    HttpResponse response(200, "waited", "text/plain");
    co_await exchange.respond(std::move(response));
  }
};

}  // namespace tidegate::test
