#pragma once

#include <fmt/format.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "base/core/metrics.h"
#include "base/net/http_server.h"
#include "base/net/io_threads.h"
#include "tests/support/coro_wait.h"
#include "tests/support/log_capture.h"

namespace tidegate::test {

/// How one answer of the server goes.
struct OpenAiAnswer {
  enum class End { kWhole, kCut, kStall };
  int status = 200;
  std::string body = {};                 ///< of another status than 200
  HttpHeaders headers = {};
  std::vector<std::string> events = {};  ///< payloads of "data: " lines
  End end = End::kWhole;                 ///< after the events
};

/// A server that speaks OpenAI's streaming API as a test tells it to. Thread-safe.
class FakeOpenAiServer {
 public:
  FakeOpenAiServer() {
    HttpServerOptions options;
    options.service = "fake_openai";
    HttpHandler handler = [this](HttpExchange& exchange) { return serve(exchange); };
    auto started = HttpServer::start(threads_, std::move(options), std::move(handler), clock_, log_, metrics_);
    if (!started) throw std::runtime_error(started.error().to_string());
    server_ = *std::move(started);
  }
  ~FakeOpenAiServer() {
    is_ending_ = true;
    server_.reset();
    threads_.stop();
  }

  // What tests set.
  std::atomic<bool> is_healthy{true};
  std::atomic<bool> has_health_page{true};
  std::string model = "their-model";  ///< before the first request
  std::string base = {};  ///< before the first request: "/engines/a" behind a proxy, whose own /health is always well
  void answer_next(OpenAiAnswer answer) {
    const std::lock_guard lock(mutex_);
    answers_.push_back(std::move(answer));
  }

  // What tests look at.
  std::string url() const { return fmt::format("http://127.0.0.1:{}{}/v1", server_->port(), base); }
  std::uint16_t port() const { return server_->port(); }
  std::atomic<int> clients_gone{0};  ///< that left before their answer's end
  struct Asked {
    std::string path;
    std::string authorization;
    std::string body;
  };
  std::vector<Asked> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  /// A chunk of a chat answer with a delta, and perhaps a finish reason.
  static std::string delta(const std::string& members, const std::string& finish = {}) {
    return fmt::format(R"({{"object":"chat.completion.chunk","choices":[{{"index":0,"delta":{{{}}},"finish_reason":{}}}]}})", members,
                       finish.empty() ? "null" : "\"" + finish + "\"");
  }
  static std::string usage(int prompt, int completion, int cached = 0) {
    return fmt::format(R"({{"choices":[],"usage":{{"prompt_tokens":{},"completion_tokens":{},)"
                       R"("prompt_tokens_details":{{"cached_tokens":{}}}}}}})",
                       prompt, completion, cached);
  }
  /// "moon over water", as engines say it that send running totals too.
  static OpenAiAnswer plain(int prompt, int completion) {
    OpenAiAnswer answer;
    answer.events = {usage(prompt, 0), delta(R"("role":"assistant","content":"")"), delta(R"("content":"moon")"), delta(R"("content":" over")"),
                     delta(R"("content":" water")", "stop"), usage(prompt, completion), "[DONE]"};
    return answer;
  }

 private:
  awaitable<void> serve(HttpExchange& exchange) {
    const std::string path(exchange.request().path);
    HttpResponse page(200, "{}");
    if (!base.empty() && path == "/health") {
      co_await exchange.respond(std::move(page));
      co_return;
    }
    if (path == base + "/health") {
      if (!has_health_page) page.status = 404;
      if (!is_healthy) page.status = 503;
      co_await exchange.respond(std::move(page));
      co_return;
    }
    if (path == base + "/v1/models") {
      page.body = fmt::format(R"({{"object":"list","data":[{{"id":"{}","max_model_len":2048}}]}})", model);
      if (!is_healthy) page.status = 503;
      co_await exchange.respond(std::move(page));
      co_return;
    }
    const OpenAiAnswer answer = take(exchange.request());
    if (answer.status != 200) {
      HttpResponse refused(answer.status, answer.body);
      refused.headers = answer.headers;
      co_await exchange.respond(std::move(refused));
      co_return;
    }
    exchange.begin_stream(200, "text/event-stream");
    for (const std::string& event : answer.events) {
      const Status sent = co_await exchange.write("data: " + event + "\n\n");
      if (!sent) co_return;
    }
    if (answer.end == OpenAiAnswer::End::kCut) co_return;  // a stream that its handler does not end is cut with RST
    while (answer.end == OpenAiAnswer::End::kStall && !exchange.is_client_gone() && !is_ending_) co_await turn();
    if (exchange.is_client_gone()) ++clients_gone;
    const Status ended = co_await exchange.end_stream();
    static_cast<void>(ended);
  }

  OpenAiAnswer take(const HttpRequest& request) {
    const std::lock_guard lock(mutex_);
    asked_.push_back({std::string(request.path), std::string(request.header("Authorization")), std::string(request.body)});
    if (answers_.empty()) return plain(5, 4);
    OpenAiAnswer answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }

  SystemClock clock_;
  LogCapture log_;
  MemoryRegistry metrics_;
  mutable std::mutex mutex_;
  std::deque<OpenAiAnswer> answers_;
  std::vector<Asked> asked_;
  std::atomic<bool> is_ending_{false};
  IoThreads threads_{1, "fake-openai"};
  std::unique_ptr<HttpServer> server_;
};

}  // namespace tidegate::test
