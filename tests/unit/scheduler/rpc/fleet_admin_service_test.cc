// What becomes of a change whose answer from the database was lost.
#include "scheduler/rpc/fleet_admin_service.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/crypto/api_key.h"
#include "base/net/io_threads.h"
#include "base/rpc/client.h"
#include "base/rpc/server.h"
#include "tests/support/log_capture.h"
#include "tests/support/scheduler/fake_directory.h"
#include "tests/support/scheduler/fake_driver.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/scheduler/core/test_catalogue.h"
#include "tidegate/v1/fleet.grpc.pb.h"

namespace tidegate::scheduler {
namespace fleet_admin_service_test {

using DoubtApi = class v1::FleetAdmin::Stub::async;

/// Deployments in a map, as the database would have them. Thread-safe.
class ForgetfulStore final : public DeploymentStore {
 public:
  /// The next write is carried out, and nobody hears so.
  void lose_next_answer() {
    const std::lock_guard lock(mutex_);
    is_answer_lost_ = true;
  }
  Result<std::vector<Deployment>> load(Deadline) override {
    const std::lock_guard lock(mutex_);
    std::vector<Deployment> all;
    for (const auto& [name, deployment] : rows_) all.push_back(deployment);
    return all;
  }
  Result<Deployment> put(const Deployment& deployment, Term) override {
    const std::lock_guard lock(mutex_);
    const auto found = rows_.find(deployment.name);
    const std::int64_t known = found == rows_.end() ? 0 : found->second.version;
    if (known != deployment.version) return fail(Code::kAborted, "changed_meanwhile", "another version");
    Deployment stored = deployment;
    ++stored.version;
    rows_[stored.name] = stored;
    if (std::exchange(is_answer_lost_, false)) return fail(Code::kUnavailable, "in_doubt", "the connection broke");
    return stored;
  }
  Status remove(const std::string& name, Term) override {
    const std::lock_guard lock(mutex_);
    if (rows_.erase(name) == 0) return fail(Code::kNotFound, "unknown_deployment", "there is none");
    if (std::exchange(is_answer_lost_, false)) return fail(Code::kUnavailable, "in_doubt", "the connection broke");
    return {};
  }

 private:
  std::mutex mutex_;
  std::map<std::string, Deployment> rows_;
  bool is_answer_lost_ = false;
};

class FleetAdminServiceTest : public ::testing::Test {
 protected:
  FleetAdminServiceTest() {
    control_.start();
    io_.run_on(0, [this] { control_.begin_term(1, {}); });
    rpc::ServerOptions options;
    options.listen = {"unix:" + folder_.file("s")};
    server_ = std::move(rpc::RpcServer::start(options, {&service_}).value());
    rpc::ChannelOptions as_operator;
    as_operator.token = operator_key_;
    client_ = std::make_unique<rpc::Client<v1::FleetAdmin>>(rpc::make_channel("unix:" + folder_.file("s"), as_operator).value());
  }
  ~FleetAdminServiceTest() override {
    client_.reset();
    control_.stop();
    server_.reset();
    workers_.stop();
    io_.stop();
  }
  static Deadline soon() { return Deadline::after(SystemClock().mono(), std::chrono::seconds(20)); }
  Result<v1::Deployment> apply(std::int32_t replicas) {
    v1::Deployment wanted;
    wanted.set_name("sim");
    wanted.set_model("sim-fast");
    wanted.set_variant("sim");
    wanted.set_region("local");
    wanted.set_pool("cpu");
    wanted.set_replicas(replicas);
    return client_->call_blocking(&DoubtApi::ApplyDeployment, std::move(wanted), soon());
  }
  static PlannedPool sim_pool(const std::string& region, std::int64_t price) {
    PlannedPool pool;
    pool.name = "cpu";
    pool.region = region;
    pool.is_local = true;
    pool.price_micros_per_hour = price;
    return pool;
  }
  /// One whose place is left to the scheduler.
  Result<v1::Deployment> place(const std::vector<std::string>& regions, std::int32_t threads = 0) {
    v1::Deployment wanted;
    wanted.set_name("sim");
    wanted.set_model("sim-fast");
    wanted.set_variant("sim");
    wanted.set_replicas(1);
    wanted.set_threads(threads);
    auto* policy = wanted.mutable_placement();
    for (const std::string& region : regions) policy->add_regions(region);
    return client_->call_blocking(&DoubtApi::ApplyDeployment, std::move(wanted), soon());
  }
  Status remove() {
    v1::DeleteDeploymentRequest request;
    request.set_name("sim");
    auto answer = client_->call_blocking(&DoubtApi::DeleteDeployment, std::move(request), soon());
    return answer ? Status() : Status(fail(answer.error()));
  }
  /// Replicas that the fleet is to have of it; -1: it knows of no such deployment.
  std::int32_t wanted() {
    return io_.run_on(0, [this]() -> std::int32_t {
      const auto& all = control_.fleet()->deployments();
      const auto found = all.find("sim");
      return found == all.end() ? -1 : found->second.replicas;
    });
  }

  test::TempDir folder_;
  SystemClock clock_;
  test::LogCapture log_;
  MemoryRegistry registry_;
  SchedulerMetrics metrics_{registry_};
  Catalogue catalogue_ = test_catalogue();
  DeploymentPlanner planner_{catalogue_, {sim_pool("eu-1", 300), sim_pool("eu-2", 200), sim_pool("us-1", 100)}};
  FakeDriver driver_;
  ForgetfulStore store_;
  IoThreads io_{1, "control"};
  FleetControl control_{catalogue_, Fleet::Settings(), 1, driver_, clock_, log_, metrics_, io_.executor(0)};
  test::SeededEntropy entropy_;
  const std::string operator_key_ = mint_api_key(entropy_, KeyKind::kAdmin).text;
  FakeDirectory directory_;
  CallerDesk desk_{operator_key_, &directory_, clock_};
  rpc::WorkPool workers_{2, 16};
  FleetAdminHost host_{desk_, workers_, log_, {registry_.counter("allowed_total", ""), registry_.counter("refused_total", "")}};
  FleetAdminService service_{control_, catalogue_, planner_, store_, clock_, log_, host_};
  std::unique_ptr<rpc::RpcServer> server_;
  std::unique_ptr<rpc::Client<v1::FleetAdmin>> client_;
};

TEST_F(FleetAdminServiceTest, AChangeWhoseAnswerWasLostIsFoundByTheNextOne) {
  ASSERT_TRUE(apply(1));
  store_.lose_next_answer();
  EXPECT_EQ(apply(2).error().reason, "in_doubt");
  EXPECT_EQ(wanted(), 1) << "not known yet";
  const auto again = apply(3);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(wanted(), 3);
}

TEST_F(FleetAdminServiceTest, ADeploymentWhoseFirstAnswerWasLostIsFoundByTheNextOne) {
  store_.lose_next_answer();
  EXPECT_EQ(apply(1).error().reason, "in_doubt");
  const auto again = apply(1);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(wanted(), 1);
}

TEST_F(FleetAdminServiceTest, ARemovalWhoseAnswerWasLostIsDoneByTheNextOne) {
  ASSERT_TRUE(apply(1));
  store_.lose_next_answer();
  EXPECT_EQ(remove().error().reason, "in_doubt");
  EXPECT_EQ(wanted(), 1) << "not known yet";
  EXPECT_TRUE(remove());
  EXPECT_EQ(wanted(), -1);
  EXPECT_EQ(remove().error().reason, "unknown_deployment");
}

TEST_F(FleetAdminServiceTest, AnEmptyPlaceIsChosenAndKeptWhileItIsAllowed) {
  const auto made = place({"eu-1", "eu-2"});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->region(), "eu-2") << "the cheapest of its regions";
  EXPECT_EQ(made->pool(), "cpu");
  EXPECT_EQ(made->placement().regions_size(), 2);
  EXPECT_EQ(made->placement().lost_after_s(), kLostAfterS);
  const auto edited = place({}, 2);
  ASSERT_TRUE(edited);
  EXPECT_EQ(edited->region(), "eu-2") << "where it is; a cheaper one is no reason to move what serves";
  EXPECT_EQ(edited->rollout().region(), "eu-2");
}

TEST_F(FleetAdminServiceTest, AnEditThatForbidsItsPlaceRollsItElsewhere) {
  ASSERT_TRUE(place({"eu-2"}));
  const auto edited = place({"us-1"});
  ASSERT_TRUE(edited);
  EXPECT_EQ(edited->region(), "eu-2") << "while it serves there";
  EXPECT_EQ(edited->rollout().region(), "us-1");
}

TEST_F(FleetAdminServiceTest, WithoutAPoolNothingIsStored) {
  const auto refused = place({"cn-1"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "no_pool");
  EXPECT_EQ(refused.error().field, "placement");
  EXPECT_EQ(place({"CN"}).error().field, "placement.regions");
  EXPECT_EQ(wanted(), -1);
}

}  // namespace fleet_admin_service_test
}  // namespace tidegate::scheduler
