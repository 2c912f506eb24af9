#pragma once

#include <future>
#include <memory>
#include <string>
#include <utility>

#include "base/crypto/sha256.h"
#include "base/json/json.h"
#include "base/net/http_client.h"
#include "gateway/http/http_api.h"
#include "tests/support/eventually.h"
#include "tests/support/gateway/fake_balances.h"
#include "tests/support/gateway/fake_dispatcher.h"
#include "tests/support/gateway/fake_meter.h"
#include "tests/support/gateway/fake_principals.h"
#include "tests/support/gateway/fake_receipt_archive.h"
#include "tests/support/log_capture.h"
#include "tests/support/run_coro.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/shifted_clock.h"

namespace tidegate::gateway::test {

using tidegate::test::eventually;

/// The HTTP edge on a real server and socket, with fakes behind it; the test plays the worker.
class ApiHarness {
 public:
  explicit ApiHarness(ServingLimits limits = {}, std::vector<std::string> models = {"tang-moe"})
      : dispatcher(models),
        metrics(registry),
        serving{meter, dispatcher, open_requests, clock, log, metrics, limits},
        api(principals, ids, clock, {&serving}, behind(receipts, balances)) {
    principals.add("good-key");
    HttpServerOptions options;
    options.service = "gateway";
    options.render_error = HttpApi::render_error;
    options.error_headers = [this](const Error& error, int status) { return api.error_headers(error, status); };
    handler_ = [this](HttpExchange& exchange) { return api.handle(exchange); };
    auto started = HttpServer::start(threads, options, handler_, clock, log, registry);
    TG_CHECK(started.has_value());
    server = *std::move(started);
  }
  ~ApiHarness() {
    server.reset();
    threads.stop();
  }

  std::string url(const std::string& path) const { return "http://" + server->address() + path; }

  /// One exchange on a connection of its own; waits.
  HttpClientResponse fetch(const std::string& method, const std::string& path, const std::string& body = "",
                           HttpHeaders headers = {{"Authorization", "Bearer good-key"}}) {
    HttpClientRequest request(method, path, body);
    request.headers = std::move(headers);
    auto response = http_fetch(url(path), std::move(request), std::chrono::seconds(10));
    if (!response) {
      HttpClientResponse failed;
      failed.body = response.error().to_string();
      return failed;
    }
    return *std::move(response);
  }
  std::future<HttpClientResponse> post(const std::string& path, const std::string& body,
                                       HttpHeaders headers = {{"Authorization", "Bearer good-key"}}) {
    return std::async(std::launch::async, [this, path, body, headers] { return fetch("POST", path, body, headers); });
  }
  std::future<HttpClientResponse> post_chat(const std::string& body) { return post("/v1/chat/completions", body); }
  /// Waits for the n-th request to reach the dispatcher.
  FakeDispatcher::Submitted submitted(std::size_t i = 0) {
    TG_CHECK(eventually([&] { return dispatcher.submitted_count() > i; }));
    return dispatcher.submitted(i);
  }
  /// Runs on the lane, where listeners live.
  template <typename Fn>
  void on_lane(Fn fn) {
    threads.run_on(0, std::move(fn));
  }
  /// The worker says this; skipped when the request has left.
  void tell(std::size_t i, SequenceDelta delta) {
    on_lane([&] {
      if (auto* listener = dispatcher.submitted(i).listener) listener->on_delta(std::move(delta));
    });
  }
  void dispatch(std::size_t i = 0) {
    on_lane([&] { dispatcher.submitted(i).listener->on_dispatched(fake_worker()); });
  }

  IoThreads threads{1};
  tidegate::test::ShiftedClock clock;
  tidegate::test::LogCapture log;
  MemoryRegistry registry;
  tidegate::test::SequentialIds ids;
  FakePrincipals principals;
  FakeMeter meter;
  FakeBalances balances;
  FakeDispatcher dispatcher;
  FakeReceiptArchive receipts;
  OpenRequests open_requests;
  GatewayMetrics metrics;
  Serving serving;
  HttpApi api;
  std::unique_ptr<HttpServer> server;

 private:
  static HttpApiParts behind(ReceiptArchive& receipts, Balances& balances) {
    HttpApiParts parts;
    parts.receipts = &receipts;
    parts.balances = &balances;
    return parts;
  }

  HttpHandler handler_;
};

inline std::string chat_body(bool is_stream, const std::string& more = "") {
  return std::string(R"({"model":"tang-moe","messages":[{"role":"user","content":"hi"}],"stream":)") +
         (is_stream ? "true" : "false") + more + "}";
}

/// The object of an answer's body; empty where it is none.
inline json::object parsed(const std::string& text) {
  const auto value = json::parse(text);
  return value && value->is_object() ? value->get_object() : json::object();
}
/// The code that an answer in OpenAI's shape refuses with.
inline std::string code_of(const HttpClientResponse& response) {
  const json::object root = parsed(response.body);
  const auto* error = root.if_contains("error");
  return error != nullptr ? std::string(error->at("code").as_string()) : "no error object: " + response.body;
}

}  // namespace tidegate::gateway::test
