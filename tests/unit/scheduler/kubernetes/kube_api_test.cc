#include "scheduler/drivers/kubernetes/api/kube_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/coro_wait.h"
#include "tests/support/kube/fake_api_server.h"
#include "tests/support/net/certificates.h"
#include "tests/support/run_coro.h"

namespace tidegate::scheduler::kube {
namespace {

using test::ApiFault;

/// A fake API server behind TLS, and files by which a pod would find it.
class KubeApiTest : public ::testing::Test {
 protected:
  KubeApiTest() {
    certificates_.issue("server");
    certificates_.issue("client");
    certificates_.issue("stranger");
  }
  void serve(const std::string& client_authorities = {}, const std::string& name = "server") {
    const auto pair =
        load_certificate_pair(certificates_.cert_file(name), certificates_.key_file(name), "x", clock_.wall());
    ASSERT_TRUE(pair) << pair.error().to_string();
    const auto tls = TlsContext::for_server(*pair, client_authorities);
    ASSERT_TRUE(tls);
    test::FakeApiServer::Options options;
    options.tls = *tls;
    options.token = client_authorities.empty() ? "first" : "";
    server_ = std::make_unique<test::FakeApiServer>(std::move(options));
    write_token("first");
    access_.api_server = server_->url();
    access_.ca_file = certificates_.ca_file();
    access_.token_file = folder_.file("token");
  }
  void write_token(const std::string& token) { std::ofstream(folder_.file("token"), std::ios::trunc) << token; }
  std::unique_ptr<KubeApi> open() {
    auto opened = KubeApi::open(access_, settings_, clock_, log_, metrics_);
    if (!opened) throw std::runtime_error(opened.error().to_string());
    return *std::move(opened);
  }
  KubeAnswer get(KubeApi& api) {
    KubeCall call;
    call.path = "/api/v1/namespaces/tg/pods";
    return test::run_coro(context_, api.call(std::move(call)));
  }
  double calls(const std::string& result) const {
    return registry_.value("tidegate_scheduler_kube_calls_total", {{"result", result}});
  }

  test::TempDir folder_;
  test::Certificates certificates_;
  SystemClock clock_;
  test::LogCapture log_;
  MemoryRegistry registry_;
  KubeMetrics metrics_{registry_};
  AccessOptions access_;
  KubeApi::Settings settings_{.call_limit = std::chrono::seconds(5)};
  std::unique_ptr<test::FakeApiServer> server_;
  asio::io_context context_{1};
};

TEST_F(KubeApiTest, TalksOverTlsWithTheServiceAccountsToken) {
  serve();
  const auto api = open();
  for (int i = 0; i < 3; ++i) {
    const KubeAnswer answer = get(*api);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_TRUE(answer->as_object().contains("items"));
  }
  EXPECT_EQ(calls("ok"), 3);
}

TEST_F(KubeApiTest, ReplacedTokenIsReadAfterTheFirstRefusal) {
  serve();
  const auto api = open();
  ASSERT_TRUE(get(*api));
  server_->set_token("second");
  write_token("second\n");
  const KubeAnswer refused = get(*api);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 401);
  EXPECT_TRUE(refused.error().is_passing());
  EXPECT_TRUE(get(*api));
}

TEST_F(KubeApiTest, UnreadableTokenKeepsTheOneThatWorks) {
  serve();
  settings_.access_every = Duration::zero();
  const auto api = open();
  ASSERT_TRUE(get(*api));
  std::filesystem::remove(folder_.file("token"));
  EXPECT_TRUE(get(*api));
  EXPECT_TRUE(get(*api));
  EXPECT_EQ(log_.count("kube_access_unreadable"), 1u);
}

TEST_F(KubeApiTest, ServerOfAnotherAuthorityIsNotTalkedTo) {
  serve();
  test::Certificates others(2);
  access_.ca_file = others.ca_file();
  const auto api = open();
  const KubeAnswer answer = get(*api);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().status, 0);
  EXPECT_THAT(answer.error().message, ::testing::HasSubstr("no TLS with"));
  EXPECT_FALSE(log_.mentions("first"));
}

TEST_F(KubeApiTest, ServerMustBearTheNameThatIsExpected) {
  serve();
  std::ofstream(folder_.file("config"))
      << "current-context: c\ncontexts:\n- name: c\n  context:\n    cluster: c\n    user: u\nclusters:\n"
      << "- name: c\n  cluster:\n    server: " << server_->url()
      << "\n    certificate-authority: " << certificates_.ca_file()
      << "\n    tls-server-name: elsewhere\nusers:\n- name: u\n  user:\n    token: first\n";
  access_.kubeconfig = folder_.file("config");
  const auto api = open();
  const KubeAnswer answer = get(*api);
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, ::testing::HasSubstr("no TLS with 'elsewhere'"));
}

TEST_F(KubeApiTest, ClientCertificateLetsIn) {
  serve(certificates_.ca_pem());
  std::ofstream(folder_.file("config"))
      << "current-context: c\ncontexts:\n- name: c\n  context:\n    cluster: c\n    user: u\nclusters:\n"
      << "- name: c\n  cluster:\n    server: " << server_->url()
      << "\n    certificate-authority: " << certificates_.ca_file()
      << "\nusers:\n- name: u\n  user:\n    client-certificate: " << certificates_.cert_file("client")
      << "\n    client-key: " << certificates_.key_file("client") << "\n";
  access_.kubeconfig = folder_.file("config");
  auto api = open();
  EXPECT_TRUE(get(*api));
  access_.kubeconfig.clear();
  api = open();
  EXPECT_FALSE(get(*api)) << "a token alone";
}

TEST_F(KubeApiTest, AnswersThatAreNoSuccessSayWhatTheyAre) {
  serve();
  const auto api = open();
  ApiFault busy;
  busy.status = 429;
  busy.retry_after_s = 7;
  server_->add_fault(busy);
  const KubeAnswer throttled = get(*api);
  ASSERT_FALSE(throttled);
  EXPECT_EQ(throttled.error().retry_after, std::chrono::seconds(7));
  EXPECT_TRUE(throttled.error().is_passing());
  busy.status = 403;
  server_->add_fault(busy);
  EXPECT_FALSE(get(*api).error().is_passing());
  ApiFault hang;
  hang.kind = ApiFault::Kind::kStall;
  server_->add_fault(hang);
  settings_.call_limit = std::chrono::milliseconds(100);
  const auto hasty = open();
  EXPECT_EQ(get(*hasty).error().status, 0);
  EXPECT_EQ(calls("throttled"), 1);
  EXPECT_EQ(calls("refused"), 1);
  EXPECT_EQ(calls("unanswered"), 1);
}

TEST_F(KubeApiTest, CutConnectionIsAnUnansweredCall) {
  serve();
  const auto api = open();
  ASSERT_TRUE(get(*api));
  ApiFault cut;
  cut.kind = ApiFault::Kind::kCut;
  cut.times = 2;  // the kept connection, and the new one tried after it
  server_->add_fault(cut);
  const KubeAnswer answer = get(*api);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().status, 0);
  ASSERT_TRUE(get(*api));
  cut.times = 1;
  server_->add_fault(cut);
  EXPECT_TRUE(get(*api)) << "a kept connection that was cut is replaced at once";
}

TEST_F(KubeApiTest, WatchGivesWhatComesUntilTheSinkHasEnough) {
  serve();
  const auto api = open();
  std::string got;
  KubeApi::BytesSink sink = [&](std::string_view bytes) {
    got += bytes;
    return got.find("ADDED") == std::string::npos;
  };
  server_->with_store([](test::KubeStore& store) {
    const json::object pod = {{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", json::object{{"name", "p"}}}};
    return store.create({"/api/v1/namespaces/tg/pods", "", ""}, pod, "test").status;
  });
  const auto ended =
      test::run_coro(context_, api->watch("/api/v1/namespaces/tg/pods", "?watch=1&resourceVersion=0&timeoutSeconds=5",
                                          std::chrono::seconds(10), sink));
  EXPECT_TRUE(ended);
  EXPECT_NE(got.find("\"name\":\"p\""), std::string::npos);
}

TEST_F(KubeApiTest, WatchThatSaysNothingIsLeftAtItsLimit) {
  serve();
  const auto api = open();
  server_->silence_watches(true);
  const auto ended =
      test::run_coro(context_, api->watch("/api/v1/namespaces/tg/pods", "?watch=1&resourceVersion=0&timeoutSeconds=60",
                                          std::chrono::milliseconds(100), [](std::string_view) { return true; }));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().status, 0);
}

TEST(RetryAfter, IsReadAndBounded) {
  EXPECT_EQ(retry_after_of("5"), std::chrono::seconds(5));
  EXPECT_EQ(retry_after_of("99999"), std::chrono::seconds(60));
  EXPECT_EQ(retry_after_of("-5"), Duration::zero());
  EXPECT_EQ(retry_after_of("Wed, 21 Oct 2026"), Duration::zero());
  EXPECT_EQ(retry_after_of(""), Duration::zero());
}

}  // namespace
}  // namespace tidegate::scheduler::kube
