#include "base/obs/admin_server.h"

#include <gtest/gtest.h>

#include <atomic>

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

TEST_F(AdminServerTest, WithoutTheActionThereIsNoReload) { EXPECT_EQ(get("/reload", "POST").status, 405); }

TEST(AdminReload, PostAsksAndTellsWhatChangedOrWhyNothingDid) {
  SystemClock clock;
  test::LogCapture log;
  PrometheusRegistry registry;
  Readiness readiness;
  Result<std::vector<std::string>> next = std::vector<std::string>{"log.level", "limits.idle_ms"};
  std::string config = "a = 1\n";
  AdminActions actions;
  std::atomic<int> reloads = 0;
  actions.reload = [&next, &reloads] {
    ++reloads;
    return next;
  };
  actions.config = [&config] { return config; };
  auto admin = AdminServer::start("127.0.0.1:0", registry, readiness, "", clock, log, std::move(actions)).value();
  const auto ask = [&](const std::string& method, const std::string& path, const HttpHeaders& headers = {}) {
    HttpClientRequest request(method, "");
    request.headers = headers;
    return http_fetch("http://" + admin->address() + path, std::move(request), std::chrono::seconds(20)).value();
  };
  const HttpHeaders meant{{"X-Tidegate-Reload", "1"}};
  EXPECT_EQ(ask("GET", "/reload").status, 405) << "a link must not reload";
  EXPECT_EQ(ask("POST", "/reload").status, 403) << "a page in somebody's browser must not reload";
  EXPECT_EQ(ask("POST", "/reload", {{"x-tidegate-reload", "0"}}).status, 403);
  EXPECT_EQ(reloads.load(), 0);
  const auto changed = ask("POST", "/reload", meant);
  EXPECT_EQ(changed.status, 200);
  EXPECT_EQ(changed.body, "{\"changed\":[\"log.level\",\"limits.idle_ms\"]}\n");
  EXPECT_EQ(ask("GET", "/configz").body, "a = 1\n");
  next = fail(Code::kInvalidArgument, "not_reloadable", "region: cannot change");
  const auto refused = ask("POST", "/reload", meant);
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.body.find("region: cannot change"), std::string::npos) << refused.body;
}

}  // namespace
}  // namespace tidegate
