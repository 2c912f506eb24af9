#include "base/net/http_server.h"

#include <mutex>
#include <set>
#include <utility>

#include "base/net/strict_gate.h"
#include "tests/unit/base/net/gate_cases.h"
#include "tests/unit/base/net/http_fixture.h"

namespace tidegate {
namespace {

using HttpServe = test::HttpFixture;

TEST_F(HttpServe, OneConnectionCarriesAThousandRequests) {
  start();
  auto client = connect();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(client->send(post("/echo?i=" + std::to_string(i), "{\"i\":" + std::to_string(i) + "}")));
    const auto answer = client->read_answer();
    ASSERT_EQ(answer.status, 200);
    ASSERT_EQ(answer.body, "{\"i\":" + std::to_string(i) + "}");
    ASSERT_NE(answer.head.find("X-Query: i=" + std::to_string(i) + "\r\n"), std::string::npos);
  }
  EXPECT_EQ(counted("tidegate_test_http_connections_total"), 1);
  EXPECT_EQ(counted("tidegate_test_http_requests_total", {{"status", "2xx"}}), 1000);
}

TEST_F(HttpServe, AnyFragmentationReadsTheSame) {
  start();
  auto client = connect();
  const std::string request = post("/echo", "0123456789");
  for (std::size_t cut = 1; cut < request.size(); cut += 3) {
    client->send(std::string_view(request).substr(0, cut));
    client->send(std::string_view(request).substr(cut));
    ASSERT_EQ(client->read_answer().body, "0123456789") << cut;
  }
}

TEST_F(HttpServe, PipelinedRequestsAreAnsweredInOrder) {
  start();
  auto client = connect();
  std::string burst;
  for (int i = 0; i < 50; ++i) burst += post("/echo", "body " + std::to_string(i)) + get("/hello");
  client->send(burst);
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(client->read_answer().body, "body " + std::to_string(i));
    ASSERT_EQ(client->read_answer().body, "hello");
  }
}

TEST_F(HttpServe, RequestPipelinedBehindAWaitingOneIsNotEaten) {
  start();
  auto client = connect();
  client->send(get("/wait"));
  ASSERT_TRUE(test::eventually([&] { return waiting_ == 1; }));
  // More than the connection's buffer holds: the rest has to wait in the kernel.
  const std::string big(200'000, 'b');
  client->send(post("/echo", big) + get("/hello"));
  EXPECT_EQ(gone_, 0);
  released_ = true;
  EXPECT_EQ(client->read_answer().body, "waited");
  EXPECT_EQ(client->read_answer().body, big);
  EXPECT_EQ(client->read_answer().body, "hello");
}

TEST_F(HttpServe, ChunkedBodiesArriveWhole) {
  start();
  auto client = connect();
  std::string request =
      "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string body;
  for (int i = 0; i < 300; ++i) {
    const std::string piece = std::string(1000, static_cast<char>('a' + i % 26));
    request += "3E8\r\n" + piece + "\r\n";
    body += piece;
  }
  client->send(request + "0\r\n\r\n" + get("/hello"));
  EXPECT_EQ(client->read_answer().body, body);
  EXPECT_EQ(client->read_answer().body, "hello");
}

TEST_F(HttpServe, BodiesUpToTheLimitPassAndOneByteMoreDoesNot) {
  HttpServerOptions options;
  options.limits.body_bytes = 1 << 20;
  start(std::move(options));
  auto client = connect();
  const std::string most(1 << 20, 'm');
  client->send(post("/echo", most));
  EXPECT_EQ(client->read_answer().body, most);
  client->send(post("/echo", most + "x"));
  EXPECT_EQ(client->read_answer().status, 413);
}

TEST_F(HttpServe, ExpectContinueIsAnsweredBeforeTheBody) {
  start();
  auto client = connect();
  client->send(
      "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(client->read_answer().status, 100);
  client->send("{}");
  EXPECT_EQ(client->read_answer().body, "{}");
}

TEST_F(HttpServe, EveryRefusedCaseGetsItsStatusAsJsonAndTheConnectionEnds) {
  start();
  for (const auto& one : test::gate_cases()) {
    if (one.reason.empty()) continue;
    auto client = connect();
    // What follows would be a valid request to whoever read the framing differently.
    client->send(one.raw + get("/hello"));
    client->shutdown_write();
    client->read_to_end();
    const std::string& got = client->received();
    const int status = refusal_status(Error(Code::kInvalidArgument, one.reason, ""));
    EXPECT_TRUE(got.starts_with("HTTP/1.1 " + std::to_string(status) + " ")) << one.name << "\n" << got;
    EXPECT_NE(got.find("Connection: close\r\n"), std::string::npos) << one.name;
    EXPECT_NE(got.find("\"reason\":\"" + one.reason + "\""), std::string::npos) << one.name << "\n" << got;
    EXPECT_EQ(got.find("hello"), std::string::npos) << one.name << ": the smuggled request was answered";
    EXPECT_EQ(got.find("\r\n\r\n"), got.rfind("\r\n\r\n")) << one.name << ": more than one answer";
  }
  ASSERT_TRUE(test::eventually([&] { return server_->open_connections() == 0; }));
  EXPECT_EQ(counted("tidegate_test_http_connections"), 0);
  EXPECT_EQ(counted("tidegate_test_http_refusals_total", {{"reason", "other"}}), 0);
  EXPECT_GE(counted("tidegate_test_http_refusals_total", {{"reason", "obs_fold"}}), 4);
}

TEST_F(HttpServe, HandlersThatFailGiveA500WithoutTheirSecrets) {
  start();
  auto client = connect();
  for (const char* path : {"/throw", "/silent"}) {
    client->send(get(path));
    const auto answer = client->read_answer();
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  }
  EXPECT_EQ(log_.count("http_handler_threw"), 1U);
  client->send(get("/hello"));
  EXPECT_EQ(client->read_answer().status, 200) << "the connection survives";
}

TEST_F(HttpServe, ErrorsAreRenderedByTheOwner) {
  HttpServerOptions options;
  options.render_error = [](const Error& error, int status) { return std::to_string(status) + " " + error.reason; };
  start(std::move(options));
  auto client = connect();
  client->send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client->read_answer().body, "400 bad_host");
}

TEST_F(HttpServe, ErrorsCarryTheHeadersOfTheOwner) {
  HttpServerOptions options;
  options.error_headers = [](const Error& error, int status) {
    HttpHeaders headers;
    headers.emplace_back("X-Seen", std::to_string(status) + " " + error.reason);
    return headers;
  };
  start(std::move(options));
  const std::pair<const char*, const char*> cases[] = {
      {"GET / HTTP/1.1\r\n\r\n", "X-Seen: 400 bad_host\r\n"},
      {"BREW / HTTP/1.1\r\nHost: t\r\n\r\n", "X-Seen: 405 method_not_allowed\r\nAllow: "},
      {"GET /silent HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", "X-Seen: 500 no_answer\r\n"},
  };
  for (const auto& [request, wanted] : cases) {
    auto client = connect();
    client->send(request);
    EXPECT_TRUE(client->read_to_end());
    EXPECT_NE(client->received().find(wanted), std::string::npos) << client->received();
  }
}

TEST_F(HttpServe, HeadIsRefusedWithTheLengthOfABodyThatDoesNotFollow) {
  HttpServerOptions options;
  options.render_error = [](const Error&, int) { return std::string("not for HEAD"); };
  start(std::move(options));
  for (const char* request : {"HEAD /hello HTTP/1.1\r\nHost: t\r\n\r\n", "HEAD /hello HTTP/1.1\r\n\r\n"}) {
    auto client = connect();
    client->send(request);
    EXPECT_TRUE(client->read_to_end());
    const std::string& got = client->received();
    EXPECT_NE(got.find("Content-Length: 12\r\n"), std::string::npos) << got;
    EXPECT_TRUE(got.ends_with("\r\n\r\n")) << "a client would take the body for the next answer: " << got;
  }
  // What is no request line has no method.
  auto client = connect();
  client->send(get("/hello") + "nonsense\r\n\r\n");
  EXPECT_TRUE(client->read_to_end());
  EXPECT_TRUE(client->received().ends_with("not for HEAD")) << client->received();
}

TEST_F(HttpServe, ConnectionCloseAndHttp10EndWithTheAnswer) {
  start();
  for (const std::string& request :
       {get("/hello", "Connection: close\r\n"), std::string("GET /hello HTTP/1.0\r\nHost: t\r\n\r\n")}) {
    auto client = connect();
    client->send(request);
    EXPECT_TRUE(client->read_to_end());
    EXPECT_TRUE(client->received().ends_with("hello")) << client->received();
  }
}

TEST_F(HttpServe, ConnectionsSpreadOverTheLanes) {
  std::mutex mutex;
  std::set<std::size_t> lanes;
  HttpHandler handler = [&](HttpExchange& exchange) -> awaitable<void> {
    {
      const std::lock_guard lock(mutex);
      lanes.insert(exchange.lane());
    }
    EXPECT_TRUE(threads_.is_current(exchange.lane()));
    HttpResponse response(204);
    co_await exchange.respond(std::move(response));
  };
  auto server = HttpServer::start(threads_, HttpServerOptions(), handler, system_clock_, log_, metrics_);
  ASSERT_TRUE(server);
  for (int i = 0; i < 4; ++i) {
    test::RawClient client((*server)->port());
    client.send(get("/"));
    EXPECT_EQ(client.read_answer().status, 204);
  }
  EXPECT_EQ(lanes.size(), 2U);
}

TEST_F(HttpServe, ASecondServerOnThePortFailsToStart) {
  start();
  HttpServerOptions options;
  options.listen = server_->address();
  HttpHandler handler = [](HttpExchange&) -> awaitable<void> { co_return; };
  const auto second = HttpServer::start(threads_, options, handler, system_clock_, log_, metrics_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "listen_failed");
}

}  // namespace
}  // namespace tidegate
