#include "base/obs/admin_server.h"

#include <gtest/gtest.h>

#include "base/net/http_client.h"
#include "tests/support/log_capture.h"

namespace tidegate {
namespace {

class AdminServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = AdminServer::start("127.0.0.1:0", registry_, readiness_, "listen = 127.0.0.1:0\n", clock_, log_);
    ASSERT_TRUE(started) << started.error().to_string();
    admin_ = *std::move(started);
  }
  HttpClientResponse get(const std::string& path, const std::string& method = "GET") {
    auto answer = http_fetch("http://" + admin_->address() + path, HttpClientRequest(method, ""), std::chrono::seconds(20));
    EXPECT_TRUE(answer) << answer.error().to_string();
    return answer ? *answer : HttpClientResponse();
  }

  SystemClock clock_;
  test::LogCapture log_;
  PrometheusRegistry registry_;
  Readiness readiness_;
  std::unique_ptr<AdminServer> admin_;
};

TEST_F(AdminServerTest, ReadyzFollowsTheChecks) {
  const auto routes = readiness_.add("routes");
  EXPECT_EQ(get("/readyz").status, 503);
  routes.up();
  const auto ready = get("/readyz");
  EXPECT_EQ(ready.status, 200);
  EXPECT_EQ(ready.body, "{\"ready\":true,\"checks\":{\"routes\":\"ok\"}}\n");
}

TEST_F(AdminServerTest, MetricsHoldOursAndTheProcess) {
  registry_.counter("tidegate_test_a_total", "A").add(5);
  const auto metrics = get("/metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_EQ(metrics.header("content-type"), "text/plain; version=0.0.4");
  EXPECT_NE(metrics.body.find("tidegate_test_a_total 5\n"), std::string::npos);
  EXPECT_NE(metrics.body.find("process_resident_memory_bytes "), std::string::npos);
  EXPECT_NE(metrics.body.find("tidegate_admin_http_connections 1\n"), std::string::npos);
}

TEST_F(AdminServerTest, TheRestAnswersPlainly) {
  EXPECT_EQ(get("/livez").body, "ok\n");
  EXPECT_EQ(get("/configz").body, "listen = 127.0.0.1:0\n");
  EXPECT_EQ(get("/other").status, 404);
  EXPECT_EQ(get("/livez", "DELETE").status, 405);
}

TEST_F(AdminServerTest, ATakenAddressIsAnError) {
  const auto second = AdminServer::start(admin_->address(), registry_, readiness_, "", clock_, log_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason, "listen_failed");
}

}  // namespace
}  // namespace tidegate
