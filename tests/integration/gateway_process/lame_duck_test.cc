// How a gateway ends: first a lame duck, then a drain.

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/crypto/ed25519.h"
#include "base/json/json.h"
#include "base/net/http_client.h"
#include "gateway/wiring.h"
#include "tests/support/eventually.h"
#include "tests/support/log_capture.h"
#include "tests/support/net/raw_client.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/temp_dir.h"

namespace tidegate::gateway {
namespace {

std::uint16_t port_of(const std::string& address) {
  std::uint16_t port = 0;
  const char* const end = address.data() + address.size();
  std::from_chars(address.data() + address.rfind(':') + 1, end, port);
  return port;
}

/// Nobody is behind it: what it answers is 401 or 503, which is an answer.
class LameDuck : public testing::Test {
 protected:
  void start(std::chrono::milliseconds lame_duck) {
    GatewayConfig config;
    config.http_listen = config.grpc_listen = config.admin_listen = "127.0.0.1:0";
    config.io_threads = 1;
    config.scheduler_address = "unix:" + folder_.file("scheduler.sock");
    config.billing_address = "unix:" + folder_.file("billing.sock");
    config.journal_dir = folder_.file("journal");
    config.pepper = "0123456789abcdef0123456789abcdef";
    config.cluster_token = "fedcba9876543210fedcba9876543210";
    config.cache_salt = "00112233445566778899aabbccddeeff";
    tidegate::test::SeededEntropy entropy{1};
    config.receipt_key = Ed25519Key::mint(entropy).pem();
    config.lame_duck = lame_duck;
    auto started = GatewayProcess::start(config, clock_, log_);
    ASSERT_TRUE(started) << started.error().to_string();
    process_ = *std::move(started);
    http_ = process_->http_address();
    grpc_ = process_->grpc_address();
    admin_ = process_->admin_address();
    ended_ = std::async(std::launch::async, [this] { return process_->run(); });
  }
  void TearDown() override {
    if (!ended_.valid()) return;
    process_->request_stop();
    process_->request_stop();
    ended_.get();
  }

  bool is_lame_duck() const {
    return tidegate::test::eventually([this] { return log_.has("gateway_lame_duck"); });
  }
  bool has_ended() const { return ended_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }
  std::unique_ptr<tidegate::test::RawClient> connect() const {
    return std::make_unique<tidegate::test::RawClient>(port_of(http_));
  }
  bool is_refused() const {
    try {
      connect();
    } catch (const std::runtime_error&) {
      return true;
    }
    return false;
  }
  /// On a connection of its own.
  static Result<HttpClientResponse> get(const std::string& address, const std::string& path) {
    return http_fetch("http://" + address + path, HttpClientRequest("GET", ""), std::chrono::seconds(20));
  }
  /// 0: no answer.
  int status_of_models() const {
    const auto answer = get(http_, "/v1/models");
    return answer ? answer->status : 0;
  }
  HttpClientResponse readyz() const {
    const auto answer = get(admin_, "/readyz");
    EXPECT_TRUE(answer) << answer.error().to_string();
    return answer ? *answer : HttpClientResponse();
  }
  /// HealthCheckResponse is one enum, field 1. 1: serving, 2: not serving, -1: the call failed.
  int grpc_health() const {
    grpc::GenericStub stub(grpc::CreateChannel(grpc_, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    const grpc::Slice nothing;  // the empty message; a ByteBuffer without a slice is none
    const grpc::ByteBuffer request(&nothing, 1);
    grpc::ByteBuffer response;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                   [&](grpc::Status status) { done.set_value(std::move(status)); });
    if (!done.get_future().get().ok()) return -1;
    grpc::Slice slice;
    if (!response.DumpToSingleSlice(&slice).ok() || slice.size() != 2) return -1;
    return slice.begin()[1];
  }

  tidegate::test::TempDir folder_;
  SystemClock clock_;
  tidegate::test::LogCapture log_;
  std::unique_ptr<GatewayProcess> process_;
  std::string http_;
  std::string grpc_;
  std::string admin_;
  std::future<int> ended_;
};

TEST_F(LameDuck, ItIsNotReadyAndServesNewConnectionsUntilASecondSignal) {
  ASSERT_NO_FATAL_FAILURE(start(std::chrono::hours(1)));
  const int usual = status_of_models();
  EXPECT_NE(usual, 0);
  EXPECT_NE(readyz().body.find("\"process\":\"ok\""), std::string::npos);
  EXPECT_EQ(grpc_health(), 1);

  std::raise(SIGTERM);
  ASSERT_TRUE(is_lame_duck());
  const HttpClientResponse ready = readyz();
  EXPECT_EQ(ready.status, 503);
  EXPECT_NE(ready.body.find("\"process\":\"stopping\""), std::string::npos) << ready.body;
  EXPECT_EQ(grpc_health(), 2) << "answered, and not serving";
  EXPECT_EQ(status_of_models(), usual);
  EXPECT_FALSE(has_ended());

  std::raise(SIGTERM);
  EXPECT_EQ(ended_.get(), 0);
  EXPECT_TRUE(is_refused());
  EXPECT_EQ(grpc_health(), -1);
}

TEST_F(LameDuck, ThenNewConnectionsAreRefusedAndOpenRequestsFinish) {
  ASSERT_NO_FATAL_FAILURE(start(std::chrono::hours(1)));
  process_->request_stop();
  ASSERT_TRUE(is_lame_duck());
  auto idle = connect();
  idle->send("GET /v1/models HTTP/1.1\r\nHost: gateway\r\n\r\n");
  const auto kept = idle->read_answer();
  EXPECT_NE(kept.status, 0);
  EXPECT_EQ(kept.head.find("Connection: close\r\n"), std::string::npos) << kept.head;
  auto busy = connect();
  busy->send("POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
             "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  ASSERT_TRUE(busy->read_until("100 Continue\r\n\r\n"));
  const std::size_t interim = busy->received().size();

  process_->request_stop();
  EXPECT_TRUE(idle->read_to_end()) << "an idle connection gets a FIN";
  EXPECT_TRUE(tidegate::test::eventually([this] { return is_refused(); }));
  EXPECT_FALSE(has_ended()) << "a request is open";
  busy->send("{}");
  EXPECT_TRUE(busy->read_to_end());
  const std::string answer = busy->received().substr(interim);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 ")) << answer;
  EXPECT_NE(answer.find("Connection: close\r\n"), std::string::npos) << answer;
  busy->close();
  idle->close();
  EXPECT_EQ(ended_.get(), 0);
}

TEST_F(LameDuck, ItEndsByItself) {
  ASSERT_NO_FATAL_FAILURE(start(std::chrono::milliseconds(20)));
  process_->request_stop();
  EXPECT_EQ(ended_.get(), 0);
  EXPECT_TRUE(log_.has("gateway_lame_duck_ended"));
  EXPECT_TRUE(is_refused());
}

// deploy/kubernetes: the kubelet kills what is not over by then.
TEST(DeployedGateway, IsGivenTimeForItsLameDuckItsDrainAndItsJournal) {
  const auto file = json::parse_file(std::string(TG_SOURCE_DIR) + "/deploy/kubernetes/4-gateway.json");
  ASSERT_TRUE(file) << file.error().to_string();
  GatewayConfig config;
  std::chrono::seconds grace{0};
  for (const json::value& item : file->at("items").as_array()) {
    if (item.at("kind").as_string() == "StatefulSet") {
      const json::value& pod = item.at("spec").at("template").at("spec");
      grace = std::chrono::seconds(pod.at("terminationGracePeriodSeconds").as_int64());
    }
    if (item.at("kind").as_string() != "ConfigMap") continue;
    // Of the limits only: the table reads the files of secrets, too.
    const std::string text(item.at("data").at("gateway.conf").as_string());
    std::string limits;
    for (std::size_t at = 0; at < text.size();) {
      const auto end = std::min(text.find('\n', at), text.size());
      const std::string line = text.substr(at, end - at);
      if (line.starts_with("limits.")) limits += line + "\n";
      at = end + 1;
    }
    ConfigTable table = config_table(config);
    const Status read = table.parse_text(limits, "gateway.conf");
    ASSERT_TRUE(read) << read.error().message;
  }
  EXPECT_GE(config.lame_duck, std::chrono::seconds(5));
  const auto frames_and_shipping = std::chrono::seconds(13);
  EXPECT_GT(grace, config.lame_duck + config.drain_max + frames_and_shipping);
}

}  // namespace
}  // namespace tidegate::gateway
