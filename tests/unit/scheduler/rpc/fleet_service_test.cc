// Who may call what, over real sockets with real certificates.
#include "scheduler/rpc/fleet_service.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/net/io_threads.h"
#include "base/rpc/client.h"
#include "base/rpc/server.h"
#include "tests/support/log_capture.h"
#include "tests/support/net/certificates.h"
#include "tests/support/scheduler/fake_driver.h"

namespace tidegate::scheduler {
namespace {

using FleetApi = class v1::Fleet::Stub::async;

class FleetServiceTest : public ::testing::Test {
 protected:
  FleetServiceTest() {
    for (const char* role : {"scheduler", "gateway", "worker"}) certificates_.issue(role, role);
    control_.start();
    io_.run_on(0, [this] { control_.begin_term(1, {}); });
    rpc::ServerOptions options;
    options.listen = {"127.0.0.1:0"};
    options.tls = certificates_.rpc("scheduler");
    server_ = std::move(rpc::RpcServer::start(options, {&service_}).value());
  }
  ~FleetServiceTest() override {
    control_.stop();
    server_.reset();
    io_.stop();
  }
  static Deadline soon() { return Deadline::after(SystemClock().mono(), std::chrono::seconds(20)); }
  std::shared_ptr<rpc::Channel> channel(const std::string& role) {
    rpc::ChannelOptions options;
    options.token = "cluster-token";
    options.tls = certificates_.rpc(role);
    options.peer_role = rpc::kSchedulerRole;
    return rpc::make_channel(server_->addresses()[0], options).value();
  }
  /// Why a registration that says nothing is refused.
  Error register_as(const std::string& role) {
    rpc::Client<v1::Fleet> client(channel(role));
    auto stream = client.open_bidi(&FleetApi::WorkerLink, soon());
    [[maybe_unused]] const Status sent = stream.write(v1::WorkerReport());  // the stream may have been ended before
    const auto answer = stream.read_blocking(soon());
    return answer ? Error() : answer.error();
  }
  /// "" when the caller is told of routes.
  std::string watch_as(const std::string& role) {
    rpc::Client<v1::Fleet> client(channel(role));
    auto stream = client.read_stream(&FleetApi::WatchRoutes, v1::WatchRoutesRequest(), soon());
    const auto answer = stream.read_blocking(soon());
    if (!answer) return answer.error().reason;
    return answer->has_value() ? "" : "ended";
  }

  test::Certificates certificates_;
  SystemClock clock_;
  test::LogCapture log_;
  MemoryRegistry registry_;
  SchedulerMetrics metrics_{registry_};
  Catalogue catalogue_;
  FakeDriver driver_;
  IoThreads io_{1, "control"};
  FleetControl control_{catalogue_, Fleet::Settings(), 1, driver_, clock_, log_, metrics_, io_.executor(0)};
  FleetService service_{control_, rpc::AuthGate::required("cluster-token"), log_};
  std::unique_ptr<rpc::RpcServer> server_;
};

TEST_F(FleetServiceTest, AGatewaysCertificateRegistersNoWorker) {
  EXPECT_EQ(register_as("gateway").reason, "wrong_role");
  const Error of_worker = register_as("worker");
  EXPECT_NE(of_worker.reason, "wrong_role");
  EXPECT_EQ(of_worker.field, "worker_id") << "its report was read";
}

TEST_F(FleetServiceTest, AWorkersCertificateHearsOfNoRoutes) {
  EXPECT_EQ(watch_as("worker"), "wrong_role");
  EXPECT_EQ(watch_as("gateway"), "");
}

TEST_F(FleetServiceTest, DemandIsTakenByWhoLeadsAlone) {
  rpc::Client<v1::Fleet> client(channel("gateway"));
  const auto tell = [&] {
    v1::DemandReport report;
    report.set_gateway_id("gw-1");
    report.set_epoch(1);
    return client.call_blocking(&FleetApi::ReportDemand, std::move(report), soon());
  };
  const auto taken = tell();
  EXPECT_TRUE(taken) << taken.error().to_string();
  io_.run_on(0, [this] { control_.end_term(); });
  const auto refused = tell();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_EQ(refused.error().reason, "not_leader");
}

}  // namespace
}  // namespace tidegate::scheduler
