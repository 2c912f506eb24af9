// The client over TLS: whom it talks to, and that everything else is as over plain sockets.
#include "base/net/http_client.h"
#include "base/net/tls_context.h"
#include "tests/support/net/certificates.h"
#include "tests/support/run_coro.h"
#include "tests/unit/base/net/http_fixture.h"

namespace tidegate {
namespace {

class HttpClientTlsTest : public test::HttpFixture {
 protected:
  HttpClientTlsTest() {
    certificates_.issue("site");
    certificates_.issue("client");
  }
  void serve(const std::string& client_authorities = {}) {
    const auto pair = load_certificate_pair(certificates_.cert_file("site"), certificates_.key_file("site"), "x",
                                            SystemClock().wall());
    ASSERT_TRUE(pair) << pair.error().to_string();
    HttpServerOptions options;
    options.tls = TlsContext::for_server(*pair, client_authorities).value();
    start(std::move(options));
  }
  static Deadline soon() { return Deadline::at(std::chrono::steady_clock::now() + std::chrono::seconds(20)); }
  HttpClientTls trusting(const std::string& authorities, const std::string& name = {},
                         bool with_certificate = false) const {
    TlsClientOptions options;
    options.authorities_pem = authorities;
    if (with_certificate) {
      const auto pair = load_certificate_pair(certificates_.cert_file("client"), certificates_.key_file("client"), "x",
                                              SystemClock().wall());
      options.chain_pem = pair.value().chain_pem;
      options.key_pem = pair.value().key_pem;
    }
    HttpClientTls tls;
    tls.context = TlsContext::for_client(options).value();
    tls.server_name = name;
    return tls;
  }
  /// The body of GET /hello, or the reason there is none.
  std::string ask(HttpClientTls tls, const std::string& target = "/hello") {
    const std::string port = std::to_string(server_->port());
    const auto work = [&]() -> awaitable<std::string> {
      auto client = co_await HttpClient::connect_tls("127.0.0.1", port, std::move(tls), soon());
      if (!client) co_return client.error().reason;
      (*client)->keep_alive();
      HttpClientRequest first("GET", target);
      const auto once = co_await (*client)->request(std::move(first), soon());
      if (!once) co_return once.error().reason;
      HttpClientRequest again("GET", target);
      const auto twice = co_await (*client)->request(std::move(again), soon());
      co_return twice ? twice->body : twice.error().reason;
    };
    return test::run_coro(work());
  }
  test::Certificates certificates_;
};

TEST_F(HttpClientTlsTest, TalksToWhomItCanVerifyAndKeepsTheConnection) {
  serve();
  const std::string hello = ask(trusting(certificates_.ca_pem()));
  EXPECT_NE(hello, "tls_failed");
  EXPECT_EQ(ask(trusting(certificates_.ca_pem(), "localhost")), hello);
  EXPECT_EQ(counted("tidegate_test_http_connections_total"), 2);
  EXPECT_TRUE(ask(trusting(certificates_.ca_pem()), "/stream?n=100").ends_with("chunk 99\nend\n"));
}

TEST_F(HttpClientTlsTest, AnotherAuthorityOrAnotherNameIsNotTalkedTo) {
  serve();
  test::Certificates others(2);
  EXPECT_EQ(ask(trusting(others.ca_pem())), "tls_failed");
  EXPECT_EQ(ask(trusting(certificates_.ca_pem(), "elsewhere")), "tls_failed");
  EXPECT_EQ(ask(trusting(certificates_.ca_pem(), "127.0.0.2")), "tls_failed");
}

TEST_F(HttpClientTlsTest, ShowsItsCertificateWhereOneIsDemanded) {
  serve(certificates_.ca_pem());
  const std::string hello = ask(trusting(certificates_.ca_pem(), "", true));
  const std::string without = ask(trusting(certificates_.ca_pem()));
  EXPECT_NE(hello, without);
  // TLS 1.3 tells the client only when it reads.
  EXPECT_TRUE(without == "tls_failed" || without == "connection_lost") << without;
}

TEST_F(HttpClientTlsTest, DeadlineEndsAHandshakeThatHangs) {
  start();  // plain: it waits for a request's head, and the client for a handshake
  HttpClientTls tls = trusting(certificates_.ca_pem());
  const std::string port = std::to_string(server_->port());
  const auto work = [&]() -> awaitable<std::string> {
    const Deadline short_one = Deadline::at(std::chrono::steady_clock::now() + std::chrono::milliseconds(50));
    auto client = co_await HttpClient::connect_tls("127.0.0.1", port, std::move(tls), short_one);
    co_return client ? "connected" : client.error().reason;
  };
  const std::string reason = test::run_coro(work());
  EXPECT_TRUE(reason == "timeout" || reason == "tls_failed") << reason;
}

TEST(TlsClientOptions, WithoutAuthoritiesThereIsNoContext) {
  EXPECT_FALSE(TlsContext::for_client({}));
  TlsClientOptions garbage;
  garbage.authorities_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  EXPECT_FALSE(TlsContext::for_client(garbage));
}

}  // namespace
}  // namespace tidegate
