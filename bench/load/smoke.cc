// What a first user feels, and what it costs the gateway: time from request to first token, tokens per second, and the
// gateway's CPU per request, against an installation made by deploy/up. Called by bench/smoke.
//
//   tidegate-smoke --endpoint=var/endpoint.json --gateway-pid=N [--model=tang-moe] [--requests=20] [--cpu-requests=2000]
//
// Method. Latency: streamed requests one after the other over one keep-alive connection; the first token is the first
// chunk with text in it. CPU: user + system time of the gateway's process over `cpu-requests` whole answers of eight
// tokens from a 16-connection client, divided by their number; the empty-handed baseline is the same number of
// GET /v1/models in the same run.

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <vector>

#include "base/core/clock.h"
#include "base/core/config.h"
#include "base/json/json.h"
#include "base/net/http_client.h"
#include "bench/load/process_cpu.h"

namespace tidegate::bench {
namespace {

struct Options {
  std::string endpoint = "var/endpoint.json";
  std::int64_t gateway_pid = 0;
  std::string model = "tang-moe";
  std::string cpu_model = "tang-moe";
  std::int64_t requests = 20;
  std::int64_t cpu_requests = 1000;
};

struct Target {
  std::string host, port, key;
};

double seconds(Duration span) { return static_cast<double>(span.count()) / 1e9; }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}
double largest(const std::vector<double>& values) { return *std::max_element(values.begin(), values.end()); }

HttpClientRequest chat_request(const Target& target, const std::string& model, bool stream, int max_tokens, std::int64_t seed) {
  HttpClientRequest request("POST", "/v1/chat/completions",
                            fmt::format(R"({{"model":"{}","stream":{},"stream_options":{},"max_tokens":{},"seed":{},)"
                                        R"("messages":[{{"role":"user","content":"写一首关于月的五言绝句。"}}]}})",
                                        model, stream, stream ? R"({"include_usage":true})" : "null", max_tokens, seed));
  request.headers.emplace_back("Authorization", "Bearer " + target.key);
  return request;
}

struct Latencies {
  std::vector<double> first_token_s, tokens_per_s;
  std::string problem;
};

awaitable<void> measure_streams(const Target& target, const Options& options, const Clock& clock, Latencies& out) {
  const Deadline deadline = Deadline::after(clock.mono(), std::chrono::seconds(600));
  auto client = co_await HttpClient::connect(target.host, target.port, deadline);
  if (!client) {
    out.problem = client.error().to_string();
    co_return;
  }
  for (std::int64_t i = 0; i < options.requests; ++i) {
    const Mono began = clock.mono();
    Mono first{}, last{};
    std::string tail;
    BodySink sink = [&](int, std::string_view bytes) {
      last = clock.mono();
      if (first == Mono{} && (bytes.find("\"reasoning_content\":\"") != bytes.npos || bytes.find("\"content\":\"") != bytes.npos)) {
        // The role chunk has an empty content; text comes with the first token.
        if (bytes.find("\"reasoning_content\":\"") != bytes.npos) first = last;
      }
      tail.append(bytes);
      if (tail.size() > 4096) tail.erase(0, tail.size() - 4096);
      return true;
    };
    HttpClientRequest request = chat_request(target, options.model, true, 96, i);
    auto answer = co_await (*client)->request(std::move(request), deadline, std::move(sink));
    if (!answer || answer->status != 200 || first == Mono{}) {
      out.problem = answer ? fmt::format("status {}: {}", answer->status, tail) : answer.error().to_string();
      co_return;
    }
    const auto at = tail.rfind("\"completion_tokens\":");
    const double tokens = at == tail.npos ? 0 : std::atof(tail.c_str() + at + 20);
    out.first_token_s.push_back(seconds(first - began));
    out.tokens_per_s.push_back((tokens - 1) / seconds(last - first));
  }
}

struct Batch {
  std::int64_t left = 0;
  std::int64_t done = 0;
  std::string problem;
};

awaitable<void> drive(const Target& target, const std::string& model, bool chat, const Clock& clock, Batch& batch) {
  const Deadline deadline = Deadline::after(clock.mono(), std::chrono::seconds(600));
  auto client = co_await HttpClient::connect(target.host, target.port, deadline);
  if (!client) {
    batch.problem = client.error().to_string();
    co_return;
  }
  while (batch.left > 0 && batch.problem.empty()) {
    --batch.left;
    HttpClientRequest request = chat_request(target, model, false, 8, batch.left);
    if (!chat) {
      request = HttpClientRequest("GET", "/v1/models");
      request.headers.emplace_back("Authorization", "Bearer " + target.key);
    }
    auto answer = co_await (*client)->request(std::move(request), deadline);
    if (!answer || answer->status != 200) {
      batch.problem = answer ? fmt::format("status {}: {}", answer->status, answer->body) : answer.error().to_string();
      co_return;
    }
    ++batch.done;
  }
}

struct CpuFigure {
  double microseconds = 0;
  double per_second = 0;
};

Result<CpuFigure> measure_cpu(const Target& target, const Options& options, bool chat, const Clock& clock) {
  asio::io_context context;
  Batch batch;
  batch.left = options.cpu_requests;
  TG_ASSIGN(const double before, process_cpu_seconds(options.gateway_pid));
  const Mono began = clock.mono();
  for (int i = 0; i < 16; ++i) {
    asio::co_spawn(context, drive(target, options.cpu_model, chat, clock, batch), asio::detached);
  }
  context.run();
  const double elapsed = seconds(clock.mono() - began);
  TG_ASSIGN(const double after, process_cpu_seconds(options.gateway_pid));
  if (!batch.problem.empty()) return fail(Code::kUnavailable, "request_failed", batch.problem);
  const auto count = static_cast<double>(batch.done);
  return CpuFigure{(after - before) / count * 1e6, count / elapsed};
}

Status run(int argc, char** argv) {
  Options options;
  ConfigTable table("tidegate-smoke");
  table.text("endpoint", options.endpoint, "endpoint.json of the installation.");
  table.integer("gateway-pid", options.gateway_pid, 1, 1 << 30, "The gateway's process id.");
  table.text("model", options.model, "Model for latency.");
  table.text("cpu-model", options.cpu_model, "Model for the CPU figure.");
  table.integer("requests", options.requests, 1, 10000, "Streamed requests for latency.");
  table.integer("cpu-requests", options.cpu_requests, 1, 10000000, "Whole answers for the CPU figure.");
  TG_TRY(table.parse(argc, argv));
  TG_ASSIGN(const json::value endpoint, json::parse_file(options.endpoint));
  TG_ASSIGN(const std::string base_url, json::get_string(endpoint.as_object(), "base_url"));
  TG_ASSIGN(const Url url, parse_url(base_url));
  TG_ASSIGN(const std::string key, json::get_string(endpoint.as_object(), "api_key"));
  const Target target{url.host, url.port, key};
  const SystemClock clock;

  asio::io_context context;
  Latencies latencies;
  asio::co_spawn(context, measure_streams(target, options, clock, latencies), asio::detached);
  context.run();
  if (!latencies.problem.empty()) return fail(Code::kUnavailable, "request_failed", latencies.problem);
  fmt::print("{}: {} streamed requests, one after the other\n", options.model, options.requests);
  fmt::print("  request to first token  {:7.1f} ms median, {:7.1f} ms worst\n", median(latencies.first_token_s) * 1e3,
             largest(latencies.first_token_s) * 1e3);
  fmt::print("  tokens per second       {:7.0f} median of a stream\n", median(latencies.tokens_per_s));

  TG_ASSIGN(const CpuFigure models, measure_cpu(target, options, false, clock));
  TG_ASSIGN(const CpuFigure chat, measure_cpu(target, options, true, clock));
  TG_ASSIGN(const double rss, process_rss_mib(options.gateway_pid));
  fmt::print("gateway CPU, {} requests over 16 connections\n", options.cpu_requests);
  fmt::print("  POST chat, 8 tokens     {:7.1f} us each ({:.0f}/s, model {})\n", chat.microseconds, chat.per_second, options.cpu_model);
  fmt::print("  GET models, the baseline{:7.1f} us each ({:.0f}/s); ratio {:.1f}\n", models.microseconds, models.per_second,
             chat.microseconds / models.microseconds);
  fmt::print("  resident memory         {:7.1f} MiB\n", rss);
  return {};
}

}  // namespace
}  // namespace tidegate::bench

int main(int argc, char** argv) {
  const auto status = tidegate::bench::run(argc, argv);
  if (status) return 0;
  fmt::print(stderr, "tidegate-smoke: {}\n", status.error().to_string());
  return 1;
}
