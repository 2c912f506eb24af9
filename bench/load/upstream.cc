// A provider that costs nothing: OpenAI-shaped answers made beforehand, for proxies that stand before a provider's API.
//
//   tidegate-bench-upstream --listen=127.0.0.1:9000 [--frames=64] [--frame_ms=20] [--answer_ms=0]
//
// Without "stream":true one JSON answer of 477 bytes; with it `frames` events of 217 bytes, each frame_ms after the one
// before by an absolute clock, then the stop event, the usage and [DONE]. One thread. Prints its address once it
// listens.
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/config.h"
#include "base/core/log.h"
#include "base/core/metrics.h"
#include "base/net/http_server.h"
#include "base/net/sse.h"
#include "base/net/timer.h"
#include "bench/load/end_signal.h"

namespace tidegate::bench {
namespace {

constexpr std::size_t kAnswerBytes = 477;
constexpr std::size_t kFrameBytes = 217;

struct Options {
  std::string listen = "127.0.0.1:0";
  std::int64_t frames = 64;
  std::chrono::milliseconds frame_gap{20};
  std::chrono::milliseconds answer_delay{0};
};

/// `before` + text + `after`, as long as `bytes`.
std::string padded(std::string_view before, std::string_view after, std::size_t bytes) {
  std::string out(before);
  constexpr std::string_view kText = "the moon is low, the tide is at the gate, ";
  while (out.size() + after.size() < bytes) out += kText[out.size() % kText.size()];
  out += after;
  return out;
}

std::string frame(std::string_view rest) {
  return fmt::format(
      R"({{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1764000000,"model":"bench",{}}})", rest);
}

class Upstream {
 public:
  explicit Upstream(const Options& options, const Clock& clock) : options_(options), clock_(clock) {
    answer_ = padded(
        R"({"id":"chatcmpl-bench","object":"chat.completion","created":1764000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":")",
        R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":16,"completion_tokens":64,"total_tokens":80}})",
        kAnswerBytes);
    const std::string empty = frame(R"("choices":[{"index":0,"delta":{"content":""},"finish_reason":null}])");
    const std::size_t cut = empty.find(R"("content":")") + 11;
    constexpr std::size_t kSseBytes = 8;  // "data: " and the blank line
    sse::append_event(frame_, padded(empty.substr(0, cut), empty.substr(cut), kFrameBytes - kSseBytes));
    sse::append_event(end_, frame(R"("choices":[{"index":0,"delta":{},"finish_reason":"stop"}])"));
    sse::append_event(
        end_,
        frame(fmt::format(R"("choices":[],"usage":{{"prompt_tokens":16,"completion_tokens":{0},"total_tokens":{1}}})",
                          options.frames, options.frames + 16)));
    end_ += sse::kDone;
  }

  awaitable<void> handle(HttpExchange& exchange) {
    const std::string_view body = exchange.request().body;
    const bool is_stream = body.find(R"("stream":true)") != body.npos || body.find(R"("stream": true)") != body.npos;
    if (!is_stream) {
      if (options_.answer_delay.count() > 0) co_await sleep_for(options_.answer_delay);
      HttpResponse response(200, answer_);
      co_await exchange.respond(std::move(response));
      co_return;
    }
    exchange.begin_stream(200, "text/event-stream");
    Mono next = clock_.mono();
    for (std::int64_t i = 0; i < options_.frames; ++i) {
      next += options_.frame_gap;
      co_await sleep_until(Deadline::at(next));
      const Status sent = co_await exchange.write(frame_);
      if (!sent) co_return;
    }
    co_await exchange.end_stream(end_);
  }

 private:
  const Options options_;
  const Clock& clock_;
  std::string answer_, frame_, end_;
};

Status run(int argc, char** argv) {
  const EndSignal end;
  Options options;
  ConfigTable table("tidegate-bench-upstream");
  table.text("listen", options.listen, "Address and port.");
  table.integer("frames", options.frames, 1, 1'000'000, "Events of a streamed answer.");
  table.milliseconds("frame_ms", options.frame_gap, 0, 60'000, "Time from one event to the next.");
  table.milliseconds("answer_ms", options.answer_delay, 0, 60'000, "Time before an answer that is not streamed.");
  TG_TRY(table.parse(argc, argv));
  const SystemClock clock;
  JsonLog log(clock, "bench-upstream", LogLevel::kError);
  MemoryRegistry metrics;
  Upstream upstream(options, clock);
  const HttpHandler handler = [&upstream](HttpExchange& exchange) { return upstream.handle(exchange); };
  IoThreads threads(1, "upstream");
  HttpServerOptions http;
  http.listen = options.listen;
  http.service = "bench";
  TG_ASSIGN(const auto server, HttpServer::start(threads, std::move(http), handler, clock, log, metrics));
  fmt::print("{}\n", server->address());
  std::fflush(stdout);
  end.wait();
  server->drain(std::chrono::milliseconds(0));
  return {};
}

}  // namespace
}  // namespace tidegate::bench

int main(int argc, char** argv) {
  const auto status = tidegate::bench::run(argc, argv);
  if (status) return 0;
  fmt::print(stderr, "tidegate-bench-upstream: {}\n", status.error().message);
  return 1;
}
