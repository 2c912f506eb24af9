// The same server over TLS: what it must do as over plain sockets, and what only TLS can get wrong.
#include <future>
#include <vector>

#include "base/net/tls_context.h"
#include "tests/support/net/certificates.h"
#include "tests/support/net/tls_client.h"
#include "tests/support/sim_clock.h"
#include "tests/unit/base/net/http_fixture.h"

namespace tidegate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::shared_ptr<const TlsContext> context_of(test::Certificates& certificates, const std::string& name,
                                             const std::string& client_authorities = {}) {
  const auto pair = load_certificate_pair(certificates.cert_file(name), certificates.key_file(name), "http.tls_",
                                          SystemClock().wall());
  if (!pair) throw std::runtime_error(pair.error().to_string());
  return TlsContext::for_server(*pair, client_authorities).value();
}

class HttpTls : public test::HttpFixture {
 protected:
  HttpTls() { certificates_.issue("site"); }
  void start_tls(HttpServerOptions options = {}) {
    if (!options.tls) options.tls = context_of(certificates_, "site");
    start(std::move(options));
  }
  std::unique_ptr<test::TlsClient> dial(test::TlsDial how = {}) {
    return std::make_unique<test::TlsClient>(server_->port(), how);
  }
  double handshakes(const std::string& result) const {
    return counted("tidegate_test_http_tls_handshakes_total", {{"result", result}});
  }
  test::Certificates certificates_;
  test::SimClock sim_clock_;
};

/// Claims that hold on both kinds of bytes.
class HttpBoth : public HttpTls, public testing::WithParamInterface<bool> {
 protected:
  void start_one(HttpServerOptions options = {}) {
    if (GetParam()) {
      start_tls(std::move(options));
    } else {
      start(std::move(options));
    }
  }
  std::unique_ptr<test::RawClient> client() {
    if (GetParam()) return dial();
    return connect();
  }
};
INSTANTIATE_TEST_SUITE_P(PlainAndTls, HttpBoth, testing::Bool(),
                         [](const auto& kind) { return std::string(kind.param ? "Tls" : "Plain"); });

TEST_P(HttpBoth, RequestsFollowEachOtherOnOneConnection) {
  start_one();
  auto one = client();
  for (int i = 0; i < 3; ++i) {
    one->send(get("/hello"));
    EXPECT_EQ(one->read_answer().body, "hello");
  }
  EXPECT_EQ(counted("tidegate_test_http_connections_total"), 1);
}

TEST_P(HttpBoth, PipelinedRequestsAreAnsweredInOrder) {
  start_one();
  auto one = client();
  one->send(post("/echo", "[1]") + get("/hello") + post("/echo", "[2]"));
  EXPECT_EQ(one->read_answer().body, "[1]");
  EXPECT_EQ(one->read_answer().body, "hello");
  EXPECT_EQ(one->read_answer().body, "[2]");
}

TEST_P(HttpBoth, BytesThatDripByOneMakeARequestAllTheSame) {
  start_one();
  auto one = client();
  for (const char c : post("/echo", "{\"a\":1}")) one->send(std::string_view(&c, 1));
  EXPECT_EQ(one->read_answer().body, "{\"a\":1}");
}

TEST_P(HttpBoth, BodiesOfManyRecordsComeBackWhole) {
  start_one();
  auto one = client();
  std::string body(3'000'001, 'b');
  for (std::size_t i = 0; i < body.size(); i += 1'009) body[i] = static_cast<char>('a' + i % 26);
  one->send(post("/echo", body));
  EXPECT_EQ(one->read_answer().body, body);
}

TEST_P(HttpBoth, AStreamArrivesWholeAndTheConnectionGoesOn) {
  start_one();
  auto one = client();
  one->send(get("/stream?n=200"));
  ASSERT_TRUE(one->read_until("0\r\n\r\n"));
  EXPECT_NE(one->received().find("chunk 199\n"), std::string::npos);
  one->send(get("/hello"));
  EXPECT_TRUE(one->read_until("hello"));
}

TEST_P(HttpBoth, AClientThatLeavesIsNoticedWhileItsRequestRuns) {
  start_one();
  auto one = client();
  one->send(get("/wait"));
  ASSERT_TRUE(test::eventually([&] { return waiting_ == 1; }));
  one->reset();
  EXPECT_TRUE(test::eventually([&] { return gone_ == 1; }));
  EXPECT_TRUE(test::eventually([&] { return server_->open_connections() == 0; }));
}

TEST_P(HttpBoth, AStreamItsHandlerDidNotEndLooksCut) {
  start_one();
  auto one = client();
  one->send(get("/half"));
  EXPECT_FALSE(one->read_to_end());
  EXPECT_EQ(one->received().find("0\r\n\r\n"), std::string::npos);
}

TEST_P(HttpBoth, ADrainEndsIdleConnectionsCleanlyAndFinishesAnswers) {
  start_one();
  auto idle = client();
  idle->send(get("/hello"));
  ASSERT_EQ(idle->read_answer().status, 200);
  auto other_idle = client();  // of the other lane: once both have ended, the busy one's lane drains too
  other_idle->send(get("/hello"));
  ASSERT_EQ(other_idle->read_answer().status, 200);
  auto busy = client();
  busy->send(get("/wait"));
  ASSERT_TRUE(test::eventually([&] { return waiting_ == 1; }));
  auto drained = std::async(std::launch::async, [&] { return server_->drain(seconds(20)); });
  EXPECT_TRUE(idle->read_to_end()) << "FIN, and before it close_notify";
  EXPECT_TRUE(other_idle->read_to_end());
  released_ = true;
  const auto answer = busy->read_answer();
  EXPECT_EQ(answer.body, "waited");
  EXPECT_NE(answer.head.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(busy->read_to_end());
  busy->close();
  idle->close();
  other_idle->close();
  EXPECT_EQ(drained.get(), 0U);
}

TEST_P(HttpBoth, RefusalsAreAnswersToo) {
  start_one();
  auto one = client();
  one->send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(one->read_answer().status, 400);
  EXPECT_TRUE(one->read_to_end());
}

TEST_P(HttpBoth, AConnectionEndsAfterItsLastRequest) {
  HttpServerOptions options;
  options.limits.requests_per_connection = 2;
  start_one(std::move(options));
  auto one = client();
  one->send(get("/hello"));
  EXPECT_EQ(one->read_answer().head.find("Connection: close"), std::string::npos);
  one->send(get("/hello"));
  EXPECT_NE(one->read_answer().head.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(one->read_to_end());
}

TEST_F(HttpTls, SpeaksTls13AndKnowsHttp11ByName) {
  start_tls();
  test::TlsDial how;
  how.ca_file = certificates_.ca_file();
  how.alpn = "http/1.1";
  const auto one = dial(how);
  ASSERT_TRUE(one->is_open());
  EXPECT_EQ(one->version(), "TLSv1.3");
  EXPECT_EQ(one->protocol(), "http/1.1");
  how.version_max = TLS1_2_VERSION;
  EXPECT_EQ(dial(how)->version(), "TLSv1.2");
}

TEST_F(HttpTls, OldVersionsAndOtherProtocolsAreRefused) {
  start_tls();
  test::TlsDial old;
  old.version_max = TLS1_1_VERSION;
  EXPECT_FALSE(dial(old)->is_open());
  test::TlsDial h2;
  h2.alpn = "h2";
  EXPECT_FALSE(dial(h2)->is_open());
  EXPECT_TRUE(test::eventually([&] { return handshakes("failed") == 2; }));
  auto plain = connect();
  plain->send(get("/hello"));
  EXPECT_EQ(plain->read_answer().status, 0) << "plain bytes are no handshake";
}

TEST_F(HttpTls, SessionsAreResumed) {
  start_tls();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    test::TlsDial how;
    how.version_max = version;
    auto first = dial(how);
    first->send(get("/hello"));
    ASSERT_EQ(first->read_answer().status, 200);
    EXPECT_FALSE(first->is_resumed());
    how.resume = first->session();
    first->say_goodbye();  // a session that was cut is not resumed
    auto second = dial(how);
    second->send(get("/hello"));
    EXPECT_EQ(second->read_answer().status, 200);
    EXPECT_TRUE(second->is_resumed()) << version;
  }
  EXPECT_EQ(handshakes("resumed"), 2);
  EXPECT_EQ(handshakes("full"), 2);
}

TEST_F(HttpTls, HalfARecordBehindAPipelinedRequestHoldsNothingUp) {
  start_tls();
  auto one = dial();
  one->send(get("/wait"));
  ASSERT_TRUE(test::eventually([&] { return waiting_ == 1; }));
  one->send(get("/hello"));
  ASSERT_TRUE(one->send_raw(std::string("\x17\x03\x03\x00\x40", 5))) << "the head of a record whose body never comes";
  released_ = true;
  EXPECT_EQ(one->read_answer().body, "waited");
  EXPECT_EQ(one->read_answer().body, "hello");
}

TEST_F(HttpTls, GarbageInsteadOfARecordEndsTheConnection) {
  start_tls();
  auto one = dial();
  one->send(get("/hello"));
  ASSERT_EQ(one->read_answer().status, 200);
  ASSERT_TRUE(one->send_raw("GET /hello HTTP/1.1\r\nHost: t\r\n\r\n"));
  EXPECT_NE(one->read_answer().status, 200);
  EXPECT_TRUE(test::eventually([&] { return server_->open_connections() == 0; }));
}

TEST_F(HttpTls, ACloseNotifyAloneCountsAsLeaving) {
  start_tls();
  auto one = dial();
  one->send(get("/wait"));
  ASSERT_TRUE(test::eventually([&] { return waiting_ == 1; }));
  one->say_goodbye();
  EXPECT_TRUE(test::eventually([&] { return gone_ == 1; }));
}

TEST_F(HttpTls, ANewCertificateServesNewConnectionsAndOpenStreamsGoOn) {
  start_tls();
  auto old = dial();
  EXPECT_EQ(old->subject(), "site");
  old->send(get("/wait"));
  ASSERT_TRUE(test::eventually([&] { return waiting_ == 1; }));
  certificates_.issue("successor");
  server_->set_tls(context_of(certificates_, "successor"));
  // Every lane has its own copy: within a few connections both have theirs.
  ASSERT_TRUE(test::eventually([&] { return dial()->subject() == "successor" && dial()->subject() == "successor"; }));
  released_ = true;
  EXPECT_EQ(old->read_answer().body, "waited");
  old->send(get("/hello"));
  EXPECT_EQ(old->read_answer().body, "hello") << "the old certificate's connection lives as long as its client wants";
}

TEST_F(HttpTls, ClientsWithoutACertificateOfTheAuthorityAreRefused) {
  HttpServerOptions options;
  options.tls = context_of(certificates_, "site", certificates_.ca_pem());
  start_tls(std::move(options));
  certificates_.issue("friend");
  test::Certificates elsewhere(2);
  elsewhere.issue("stranger");
  // With TLS 1.3 the client learns of its refusal with its first read.
  const auto status_of = [&](const test::TlsDial& how) {
    auto one = dial(how);
    one->send(get("/hello"));
    return one->read_answer().status;
  };
  test::TlsDial how;
  EXPECT_EQ(status_of(how), 0);
  how.cert_file = elsewhere.cert_file("stranger");
  how.key_file = elsewhere.key_file("stranger");
  EXPECT_EQ(status_of(how), 0);
  how.cert_file = certificates_.cert_file("friend");
  how.key_file = certificates_.key_file("friend");
  EXPECT_EQ(status_of(how), 200);
}

TEST_F(HttpTls, ADripOfAHandshakeIsCutOff) {
  HttpServerOptions options;
  options.tls = context_of(certificates_, "site");
  start_with(std::move(options), sim_clock_);
  auto slow = connect();
  slow->send("\x16\x03\x01");  // how a handshake begins
  ASSERT_TRUE(test::eventually([&] { return server_->open_connections() == 1; }));
  Duration waited{0};
  auto got = test::RawClient::Got::kNothing;
  while (got == test::RawClient::Got::kNothing && waited < seconds(600)) {
    sim_clock_.advance(seconds(1));
    waited += seconds(1);
    got = slow->read_some(milliseconds(20));
  }
  EXPECT_NE(got, test::RawClient::Got::kNothing);
  EXPECT_NE(got, test::RawClient::Got::kBytes);
  EXPECT_GE(waited, seconds(10));
  EXPECT_EQ(handshakes("timeout"), 1);
}

TEST_F(HttpTls, HandshakesUnderWayAreBounded) {
  HttpServerOptions options;
  options.limits.handshakes = 2;
  start_tls(std::move(options));
  auto one = connect();
  auto two = connect();
  one->send("\x16");
  two->send("\x16");
  ASSERT_TRUE(test::eventually([&] { return server_->open_connections() == 2; }));
  // Opened by the acceptor is not yet begun by its lane, so the refusal may take a few tries to show.
  ASSERT_TRUE(test::eventually([&] { return !dial()->is_open(); }));
  EXPECT_GE(handshakes("turned_away"), 1);
  one->close();
  two->close();
  EXPECT_TRUE(test::eventually([&] { return dial()->is_open(); })) << "a freed place is usable";
}

TEST_F(HttpTls, AReaderThatStallsHoldsTheWriterBack) {
  start_tls();
  test::TlsDial how;
  auto slow = std::make_unique<test::TlsClient>(server_->port(), how, 4096);
  slow->send(get("/endless"));
  std::size_t seen = 0;
  int still = 0;
  ASSERT_TRUE(test::eventually([&] {
    const std::size_t now = chunks_written_;
    still = now == seen && now > 0 ? still + 1 : 0;
    seen = now;
    return still > 50;
  }));
  EXPECT_LE(seen * 16 * 1024, 4U * 1024 * 1024) << "what the kernel took";
  for (int i = 0; i < 200; ++i) ASSERT_EQ(slow->read_some(), test::RawClient::Got::kBytes) << "and goes on when read";
  slow->reset();
  EXPECT_TRUE(test::eventually([&] { return failed_writes_ == 1; }));
}

}  // namespace
}  // namespace tidegate
