// A real scheduler, real workers, a real PostgreSQL.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "scheduler/drivers/local/local_driver.h"
#include "tests/integration/fleet/fleet_world.h"
#include "tests/support/log_capture.h"
#include "tests/support/pg/pg_server.h"

namespace tidegate::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

bool has_one_route(const v1::Routes& routes) { return routes.routes_size() == 1; }
bool has_no_route(const v1::Routes& routes) { return routes.routes_size() == 0; }

class FleetTest : public ::testing::Test {
 protected:
  ~FleetTest() override {
    if (HasFailure()) fmt::print(stderr, "{}", world.logs());
  }
  /// The scheduler leads: it answers.
  void SetUp() override {
    ASSERT_TRUE(eventually([&] { return world.deployments().has_value(); }, 60s)) << world.logs();
  }
  v1::Route deploy(const v1::Deployment& deployment) {
    const auto applied = world.apply(deployment);
    EXPECT_TRUE(applied) << applied.error().to_string();
    const auto routes = world.routes_until(has_one_route, 60s);
    EXPECT_TRUE(routes);
    return routes ? routes->routes(0) : v1::Route();
  }
  std::chrono::milliseconds since(Mono began) const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(clock.mono() - began);
  }
  v1::Deployment deployment_named(const std::string& name) {
    const auto all = world.deployments();
    if (all) {
      for (const auto& one : all->deployments()) {
        if (one.name() == name) return one;
      }
    }
    return {};
  }

  SystemClock clock;
  FleetWorld world;
};

TEST_F(FleetTest, DeploymentBecomesARouteThatAnswers) {
  const v1::Route route = deploy(world.sim("sim"));
  EXPECT_EQ(route.model(), "sim-fast");
  EXPECT_EQ(route.engine(), "sim");
  EXPECT_EQ(route.region(), "local");
  EXPECT_EQ(route.pool(), "cpu");
  EXPECT_FALSE(route.draining());
  const auto answer = ask_worker(route.address(), world.cluster_token(), 8);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->hello.worker_id(), route.worker_id());
  EXPECT_EQ(answer->last.finish(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(answer->last.usage().completion_tokens(), 8);
  EXPECT_TRUE(eventually([&] { return deployment_named("sim").status() == "ready"; }));
}

TEST_F(FleetTest, KilledWorkerLosesItsRouteWithinASecondAndComesBack) {
  const v1::Route first = deploy(world.sim("sim"));
  ASSERT_EQ(::kill(world.pid_of("sim-0"), SIGKILL), 0);
  const Mono killed = clock.mono();
  ASSERT_TRUE(world.routes_until(
      [&](const v1::Routes& routes) { return has_no_route(routes) || routes.routes(0).worker_id() != first.worker_id(); },
      3s));
  const auto gone_after = since(killed);
  const auto back = world.routes_until(has_one_route);
  ASSERT_TRUE(back);
  fmt::print("route gone after {} ms, back after {} ms\n", gone_after.count(), since(killed).count());
  EXPECT_LT(gone_after, 1s);
  EXPECT_NE(back->routes(0).worker_id(), first.worker_id());
  const auto workers = world.workers();
  ASSERT_TRUE(workers);
  ASSERT_EQ(workers->workers_size(), 1);
  EXPECT_EQ(workers->workers(0).restarts(), 1);
}

TEST_F(FleetTest, RestartedSchedulerAdoptsTheWorkerThatServedOnWithoutIt) {
  const v1::Route route = deploy(world.sim("sim"));
  const pid_t pid = world.pid_of("sim-0");
  world.scheduler().kill9();
  EXPECT_TRUE(ask_worker(route.address(), world.cluster_token(), 8)) << "serving needs no scheduler";
  const Mono began = clock.mono();
  world.start_scheduler();
  const auto routes = world.routes_until(has_one_route);
  ASSERT_TRUE(routes);
  fmt::print("route back {} ms after the scheduler's start\n", since(began).count());
  EXPECT_EQ(routes->routes(0).worker_id(), route.worker_id());
  EXPECT_EQ(routes->term(), 2u);
  EXPECT_TRUE(eventually([&] { return deployment_named("sim").status() == "ready"; }));
  EXPECT_EQ(world.pid_of("sim-0"), pid);
  EXPECT_EQ(::kill(pid, 0), 0);
}

TEST_F(FleetTest, WorkerThatDiedWhileNoSchedulerWatchedIsReplaced) {
  const v1::Route route = deploy(world.sim("sim"));
  world.scheduler().kill9();
  ASSERT_EQ(::kill(world.pid_of("sim-0"), SIGKILL), 0);
  world.start_scheduler();
  const auto routes = world.routes_until(has_one_route);
  ASSERT_TRUE(routes);
  EXPECT_NE(routes->routes(0).worker_id(), route.worker_id());
}

TEST_F(FleetTest, SchedulerOfAnOlderTermCannotActThroughTheDriver) {
  deploy(world.sim("sim"));
  world.scheduler().kill9();
  world.start_scheduler();
  ASSERT_TRUE(world.routes_until([](const v1::Routes& routes) { return routes.term() == 2 && has_one_route(routes); }));
  // The new leader's first order moves the run folder to its term.
  ASSERT_TRUE(world.apply(world.sim("sim", 2)));
  ASSERT_TRUE(world.routes_until([](const v1::Routes& routes) { return routes.routes_size() == 2; }));
  LogCapture log;
  scheduler::LocalDriver::Settings settings;
  settings.worker_binary = TG_WORKER;
  settings.run_dir = world.run_dir();
  settings.socket_dir = world.run_dir();
  auto old = scheduler::LocalDriver::open(settings, clock, log);
  ASSERT_TRUE(old);
  const Status stopped = (*old)->stop("sim-0", 1);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().reason, "stale_term");
}

TEST_F(FleetTest, StandbyWaitsAndTakesOverWithTheNextTermWithoutASecondWorker) {
  deploy(world.sim("sim"));
  const pid_t pid = world.pid_of("sim-0");
  auto standby = world.start_standby(world.second_address());
  ASSERT_TRUE(eventually([&] {
    const auto answer = world.deployments(world.second_address());
    return !answer && answer.error().reason == "not_leader";
  }, 60s));
  const Mono began = clock.mono();
  EXPECT_EQ(world.scheduler().terminate(), 0);
  ASSERT_TRUE(eventually([&] {
    const auto answer = world.deployments(world.second_address());
    return answer && answer->term() == 2;
  }, 20s));
  fmt::print("standby leads {} ms after the leader was told to go\n", since(began).count());
  EXPECT_EQ(world.pid_of("sim-0"), pid);
  EXPECT_EQ(::kill(pid, 0), 0);
  EXPECT_EQ(standby->terminate(), 0);
}

TEST_F(FleetTest, LeaderWithoutItsDatabaseStopsActingAndTheWorkerServesOn) {
  const v1::Route route = deploy(world.sim("sim"));
  const pid_t pid = world.pid_of("sim-0");
  PgServer& postgres = PgEnvironment::server();
  postgres.stop();
  const Mono stopped = clock.mono();
  const auto has_stopped_acting = [&] {
    const auto answer = world.deployments();
    return !answer && answer.error().reason == "not_leader";
  };
  EXPECT_TRUE(eventually(has_stopped_acting, 4s)) << "the lease lasts two seconds";
  fmt::print("leader stopped acting {} ms after its database stopped\n", since(stopped).count());
  EXPECT_TRUE(ask_worker(route.address(), world.cluster_token(), 8));
  postgres.start();
  const auto routes = world.routes_until(has_one_route);
  ASSERT_TRUE(routes);
  EXPECT_EQ(routes->routes(0).worker_id(), route.worker_id());
  EXPECT_EQ(world.pid_of("sim-0"), pid);
}

TEST_F(FleetTest, LeaderWhoseDatabaseHangsStopsActingAndLeadsAgainByItself) {
  const v1::Route route = deploy(world.sim("sim"));
  const pid_t pid = world.pid_of("sim-0");
  PgServer& postgres = PgEnvironment::server();
  postgres.freeze();
  const Mono frozen = clock.mono();
  const auto has_stopped_acting = [&] {
    const auto answer = world.deployments();
    return !answer && answer.error().reason == "not_leader";
  };
  EXPECT_TRUE(eventually(has_stopped_acting, 4s)) << "the lease lasts two seconds";
  fmt::print("leader stopped acting {} ms after its database stood still\n", since(frozen).count());
  EXPECT_TRUE(ask_worker(route.address(), world.cluster_token(), 8));
  postgres.thaw();
  const auto first = world.routes_until([](const v1::Routes&) { return true; });
  ASSERT_TRUE(first);
  ASSERT_EQ(first->routes_size(), 1) << "the first picture of the new term has the worker that served on";
  EXPECT_EQ(first->routes(0).worker_id(), route.worker_id());
  EXPECT_GT(first->term(), 1u);
  EXPECT_EQ(world.pid_of("sim-0"), pid);
}

TEST_F(FleetTest, DeletedDeploymentDrainsItsWorker) {
  deploy(world.sim("sim"));
  const pid_t pid = world.pid_of("sim-0");
  ASSERT_TRUE(world.remove("sim"));
  EXPECT_TRUE(world.routes_until(has_no_route));
  EXPECT_TRUE(eventually([&] { return world.pid_of("sim-0") == 0; }));
  EXPECT_NE(::kill(pid, 0), 0);
  EXPECT_THAT(world.logs(), HasSubstr("worker_drained"));
  EXPECT_EQ(world.remove("sim").error().reason, "unknown_deployment");
}

TEST_F(FleetTest, ScalesOutAndIn) {
  deploy(world.sim("sim"));
  ASSERT_TRUE(world.apply(world.sim("sim", 3)));
  EXPECT_TRUE(world.routes_until([](const v1::Routes& routes) { return routes.routes_size() == 3; }));
  ASSERT_TRUE(world.apply(world.sim("sim", 1)));
  EXPECT_TRUE(world.routes_until(has_one_route));
}

TEST_F(FleetTest, BadDeploymentIsRefusedByFieldAndStrangersAreNotHeard) {
  v1::Deployment bad = world.sim("sim");
  bad.set_model("gpt");
  EXPECT_EQ(world.apply(bad).error().field, "model");
  bad = world.sim("Sim");
  EXPECT_EQ(world.apply(bad).error().field, "name");
  bad = world.sim("sim");
  bad.add_options("cluster_token_file=/etc/passwd");
  EXPECT_EQ(world.apply(bad).error().field, "options[1]");
  EXPECT_EQ(world.apply(world.sim("sim"), world.cluster_token()).error().code, Code::kUnauthenticated)
      << "the cluster token is no administrator's key";
}

TEST_F(FleetTest, CatalogueIsListed) {
  const auto catalogue = world.catalogue();
  ASSERT_TRUE(catalogue);
  std::vector<std::string> names;
  for (const auto& model : catalogue->models()) names.push_back(model.name());
  EXPECT_THAT(names, ::testing::IsSupersetOf({"sim-fast", "tang-moe"}));
}

TEST_F(FleetTest, TangMoeIsServedByItsRealEngine) {
  const v1::Route route = deploy(world.tang_moe());
  EXPECT_EQ(route.engine(), "cpu");
  EXPECT_EQ(route.variant(), "fp8");
  EXPECT_THAT(route.weights_digest(), HasSubstr("sha256:2d27b42dbd0cad0c"));
  const auto answer = ask_worker(route.address(), world.cluster_token(), 12);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_FALSE(answer->text.empty());
  EXPECT_LE(answer->last.usage().completion_tokens(), 12);
  EXPECT_GT(answer->last.usage().prompt_tokens(), 0);
}

}  // namespace
}  // namespace tidegate::test
