#include "scheduler/rpc/fleet_admin_host.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "base/core/clock.h"
#include "base/crypto/api_key.h"
#include "base/rpc/client.h"
#include "base/rpc/server.h"
#include "tests/support/log_capture.h"
#include "tests/support/scheduler/fake_directory.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/sim_clock.h"
#include "tests/support/temp_dir.h"
#include "tidegate/v1/fleet.grpc.pb.h"

namespace tidegate::scheduler {
namespace {

using AdminApi = class v1::FleetAdmin::Stub::async;

/// Two methods of FleetAdmin that say who called them.
class EchoService final : public v1::FleetAdmin::CallbackService {
 public:
  explicit EchoService(FleetAdminHost& host) : host_(host) {}
  grpc::ServerUnaryReactor* ListDeployments(grpc::CallbackServerContext* call, const v1::ListDeploymentsRequest*,
                                            v1::ListDeploymentsResponse* response) override {
    return host_.serve(call, response, [](const FleetCall& c) -> Result<v1::ListDeploymentsResponse> {
      v1::ListDeploymentsResponse out;
      out.add_deployments()->set_name(c.caller().actor);
      return out;
    });
  }
  grpc::ServerUnaryReactor* ApplyDeployment(grpc::CallbackServerContext* call, const v1::Deployment*,
                                            v1::Deployment* response) override {
    return host_.serve(call, response, [](const FleetCall& c) -> Result<v1::Deployment> {
      v1::Deployment out;
      out.set_name(c.caller().actor);
      return out;
    });
  }

 private:
  FleetAdminHost& host_;
};

struct FleetAdminHostTest : testing::Test {
  FleetAdminHostTest() {
    rpc::ServerOptions options;
    options.listen = {"unix:" + folder_.file("s")};
    server_ = std::move(rpc::RpcServer::start(options, {&service_}).value());
  }
  ~FleetAdminHostTest() override {
    server_.reset();
    workers_.stop();
  }
  rpc::Client<v1::FleetAdmin> as(const std::string& token) {
    rpc::ChannelOptions options;
    options.token = token;
    return rpc::Client<v1::FleetAdmin>(rpc::make_channel("unix:" + folder_.file("s"), options).value());
  }
  static Deadline soon() { return Deadline::after(SystemClock().mono(), std::chrono::seconds(10)); }
  Result<v1::ListDeploymentsResponse> look(const std::string& token) {
    auto client = as(token);
    return client.call_blocking(&AdminApi::ListDeployments, v1::ListDeploymentsRequest(), soon());
  }
  Result<v1::Deployment> change(const std::string& token) {
    auto client = as(token);
    return client.call_blocking(&AdminApi::ApplyDeployment, v1::Deployment(), soon());
  }

  test::TempDir folder_;
  test::SimClock clock_;  // of what the desk remembers
  test::LogCapture log_;
  MemoryRegistry registry_;
  test::SeededEntropy entropy_;
  const std::string operator_key_ = mint_api_key(entropy_, KeyKind::kAdmin).text;
  FakeDirectory directory_;
  CallerDesk desk_{operator_key_, &directory_, clock_};
  rpc::WorkPool workers_{2, 16};
  FleetAdminHost host_{desk_, workers_, log_, {registry_.counter("allowed_total", ""), registry_.counter("refused_total", "")}};
  EchoService service_{host_};
  std::unique_ptr<rpc::RpcServer> server_;
};

TEST_F(FleetAdminHostTest, ThePeopleOfTheDirectoryCallWithTheirRoles) {
  directory_.add("owner.a.b", {"person/ann", CallerRole::kOwner, false});
  directory_.add("viewer.a.b", {"person/bob", CallerRole::kViewer, false});
  directory_.add("tenant.a.b", {"person/eve", CallerRole::kOwner, true});
  EXPECT_EQ(change("owner.a.b")->name(), "person/ann");
  EXPECT_EQ(look("viewer.a.b")->deployments(0).name(), "person/bob");
  EXPECT_EQ(change("viewer.a.b").error().reason, "role_not_allowed");
  EXPECT_EQ(look("tenant.a.b").error().reason, "tenant_not_allowed");
  EXPECT_EQ(registry_.value("allowed_total"), 2);
  EXPECT_EQ(registry_.value("refused_total"), 2);
  EXPECT_EQ(log_.count("fleet_call_refused"), 2U);
  EXPECT_TRUE(log_.mentions("person/eve"));
  EXPECT_FALSE(log_.mentions("tenant.a.b")) << "tokens are never logged";
}

TEST_F(FleetAdminHostTest, StrangersAreRefusedAndTheOperatorWorksAlone) {
  EXPECT_EQ(look("x.y.z").error().code, Code::kUnauthenticated);
  EXPECT_EQ(look("").error().reason, "missing_token");
  EXPECT_EQ(look("nonsense").error().reason, "bad_token");
  directory_.set_away(true);
  EXPECT_EQ(look("u.v.w").error().code, Code::kUnavailable);
  EXPECT_EQ(look("x.y.z").error().code, Code::kUnauthenticated) << "remembered";
  EXPECT_TRUE(change(operator_key_));
}

TEST_F(FleetAdminHostTest, EveryMethodOfFleetAdminHasItsRow) {
  std::set<std::string> rows, methods;
  for (const FleetMethod& row : fleet_methods()) rows.insert(std::string(row.method));
  const auto* service = v1::Deployment::descriptor()->file()->FindServiceByName("FleetAdmin");
  ASSERT_NE(service, nullptr);
  for (int i = 0; i < service->method_count(); ++i) methods.insert(service->method(i)->name());
  EXPECT_EQ(rows, methods) << "add the method to kTable in scheduler/core/fleet_callers.cc";
}

}  // namespace
}  // namespace tidegate::scheduler
