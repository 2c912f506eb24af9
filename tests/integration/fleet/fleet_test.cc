// A real scheduler, real workers, a real PostgreSQL.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "scheduler/core/fleet.h"
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
  /// Of the first term that began after `began`. No picture is without the worker that serves, unless it took longer to
  /// come back than a term waits.
  v1::Route first_route_since(Mono began, const std::string& address = {}) {
    auto picture = world.routes_until([](const v1::Routes&) { return true; }, 60s, address);
    if (picture && has_no_route(*picture)) {
      EXPECT_GE(since(began), scheduler::Fleet::Settings().settle_limit);
      picture = world.routes_until(has_one_route, 60s, address);
    }
    if (!picture || !has_one_route(*picture)) {
      ADD_FAILURE() << "not one route";
      return {};
    }
    EXPECT_GT(picture->term(), 1u);
    return picture->routes(0);
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
  v1::Route last = deploy(world.sim("sim"));
  // The machine may have stood still; who waits for the link or for silence is late every time.
  constexpr int kKillsMax = 3;
  int kills = 0;
  auto gone_after = std::chrono::milliseconds::max();
  while (gone_after >= 1s && kills < kKillsMax) {
    ASSERT_EQ(::kill(world.pid_of("sim-0"), SIGKILL), 0);
    ++kills;
    const Mono killed = clock.mono();
    ASSERT_TRUE(world.routes_until([&](const v1::Routes& routes) {
      return has_no_route(routes) || routes.routes(0).worker_id() != last.worker_id();
    }));
    gone_after = since(killed);
    const auto back = world.routes_until(has_one_route);
    ASSERT_TRUE(back);
    fmt::print("route gone after {} ms, back after {} ms\n", gone_after.count(), since(killed).count());
    EXPECT_NE(back->routes(0).worker_id(), last.worker_id());
    last = back->routes(0);
  }
  EXPECT_LT(gone_after, 1s);
  const auto workers = world.workers();
  ASSERT_TRUE(workers);
  ASSERT_EQ(workers->workers_size(), 1);
  EXPECT_EQ(workers->workers(0).restarts(), kills);
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
  EXPECT_GT(routes->term(), 1u);
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
  ASSERT_TRUE(world.routes_until([](const v1::Routes& routes) { return routes.term() > 1 && has_one_route(routes); }));
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

TEST_F(FleetTest, StandbyTakesTheWorkersOfAFrozenLeaderAndTheLateOneActsOnNothing) {
  const v1::Route route = deploy(world.sim("sim"));
  const pid_t pid = world.pid_of("sim-0");
  auto standby = world.start_standby(world.second_address());
  ASSERT_TRUE(eventually([&] {
    const auto answer = world.deployments(world.second_address());
    return !answer && answer.error().reason == "not_leader";
  }, 60s));
  world.scheduler().freeze();
  const Mono frozen = clock.mono();
  Mono stood_by = frozen;
  ASSERT_TRUE(eventually([&] {
    const Mono asked = clock.mono();
    if (world.deployments(world.second_address())) return true;
    stood_by = asked;
    return false;
  }, 60s));
  // The worker has a link to both.
  EXPECT_EQ(first_route_since(stood_by, world.second_address()).worker_id(), route.worker_id());
  fmt::print("a standby shows routes {} ms after the leader froze\n", since(frozen).count());
  // While it sleeps its only replica ends and is replaced: it must neither heal that nor take it away.
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  ASSERT_TRUE(eventually([&] { return world.pid_of("sim-0") != pid; }, 30s));
  const pid_t next = world.pid_of("sim-0");
  const auto healed = world.routes_until(has_one_route, 60s, world.second_address());
  ASSERT_TRUE(healed);
  world.scheduler().thaw();
  EXPECT_TRUE(eventually([&] {
    const auto answer = world.deployments();
    return !answer && answer.error().reason == "not_leader";
  }, 30s));
  EXPECT_TRUE(eventually([&] { return world.logs().find("not_leading") != std::string::npos; }, 30s));
  EXPECT_EQ(world.pid_of("sim-0"), next);
  EXPECT_EQ(::kill(next, 0), 0);
  EXPECT_EQ(world.logs().find("replica_start_undone"), std::string::npos);
  const auto after = world.routes_until(has_one_route, 60s, world.second_address());
  ASSERT_TRUE(after);
  EXPECT_EQ(after->routes(0).worker_id(), healed->routes(0).worker_id());
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
  EXPECT_TRUE(eventually(has_stopped_acting, 30s)) << "the lease lasts six seconds";
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
  EXPECT_TRUE(eventually(has_stopped_acting, 30s)) << "the lease lasts six seconds";
  fmt::print("leader stopped acting {} ms after its database stood still\n", since(frozen).count());
  EXPECT_TRUE(ask_worker(route.address(), world.cluster_token(), 8));
  const Mono thawed = clock.mono();
  postgres.thaw();
  EXPECT_EQ(first_route_since(thawed).worker_id(), route.worker_id()) << "it served on";
  EXPECT_EQ(world.pid_of("sim-0"), pid);
}

TEST_F(FleetTest, WhileARowIsNotReadNobodyLeadsAndTheLogNamesIt) {
  const v1::Route route = deploy(world.sim("sim"));
  world.execute(R"(UPDATE deployments SET rollout = '{"phase":"sideways"}')");  // as a later version may store it
  world.scheduler().kill9();
  world.start_scheduler();
  ASSERT_TRUE(eventually([&] { return world.logs().find("leadership_given_up") != std::string::npos; }, 60s));
  EXPECT_THAT(world.logs(), HasSubstr("deployment 'sim'"));
  EXPECT_TRUE(ask_worker(route.address(), world.cluster_token(), 8));
  world.execute("UPDATE deployments SET rollout = '{}'");
  const auto routes = world.routes_until(has_one_route, 60s);
  ASSERT_TRUE(routes);
  EXPECT_EQ(routes->routes(0).worker_id(), route.worker_id());
}

TEST_F(FleetTest, DeletedDeploymentDrainsItsWorker) {
  deploy(world.sim("sim"));
  const pid_t pid = world.pid_of("sim-0");
  ASSERT_TRUE(world.remove("sim"));
  EXPECT_TRUE(world.routes_until(has_no_route));
  EXPECT_TRUE(eventually([&] { return world.pid_of("sim-0") == 0; }));
  EXPECT_TRUE(eventually([&] { return ::kill(pid, 0) != 0; })) << "the scheduler collects it";
  EXPECT_THAT(world.logs(), HasSubstr("worker_drained"));
  EXPECT_EQ(world.remove("sim").error().reason, "unknown_deployment");
}

TEST_F(FleetTest, ADeploymentWhosePoolIsLostIsServedFromAnotherOne) {
  world.offer_pools(R"({"pools": [
    {"region": "north", "pool": "cpu", "accelerator": "local", "price_micros_per_hour": 100},
    {"region": "south", "pool": "cpu", "accelerator": "local", "price_micros_per_hour": 200},
    {"region": "abroad", "pool": "cpu", "accelerator": "local", "price_micros_per_hour": 10}]})");
  ASSERT_TRUE(eventually([&] { return world.deployments().has_value(); }, 60s));
  v1::Deployment wanted = world.sim("sim", 2);
  wanted.clear_region();
  wanted.clear_pool();
  wanted.mutable_placement()->add_regions("north");
  wanted.mutable_placement()->add_regions("south");
  wanted.mutable_placement()->set_lost_after_s(5);
  const auto applied = world.apply(wanted);
  ASSERT_TRUE(applied) << applied.error().to_string();
  const auto both_in = [](const char* region) {
    return [region](const v1::Routes& routes) {
      return routes.routes_size() == 2 && std::ranges::all_of(routes.routes(), [region](const v1::Route& route) {
               return route.region() == region && !route.draining();
             });
    };
  };
  ASSERT_TRUE(world.routes_until(both_in("north"))) << "the cheapest of its regions";
  world.lose_region("north", {"sim-0", "sim-1"});
  ASSERT_TRUE(world.routes_until(both_in("south")));
  EXPECT_THAT(deployment_named("sim").placement_why(), HasSubstr("moved to south/cpu"));
  EXPECT_TRUE(eventually([&] { return world.pid_of("sim-0") == 0 && world.pid_of("sim-1") == 0; }))
      << "nothing is started there any more";
  world.scheduler().kill9();
  world.start_scheduler();
  ASSERT_TRUE(world.routes_until(both_in("south")));
  const v1::Deployment stored = deployment_named("sim");
  EXPECT_EQ(stored.region(), "south");
  EXPECT_EQ(stored.placement().lost_after_s(), 5);
  EXPECT_EQ(stored.placement().regions_size(), 2);
}

TEST_F(FleetTest, ScalesOutAndIn) {
  deploy(world.sim("sim"));
  ASSERT_TRUE(world.apply(world.sim("sim", 3)));
  EXPECT_TRUE(world.routes_until([](const v1::Routes& routes) { return routes.routes_size() == 3; }));
  ASSERT_TRUE(world.apply(world.sim("sim", 1)));
  EXPECT_TRUE(world.routes_until(has_one_route));
}

/// Routes that take requests.
int serving(const v1::Routes& routes) {
  int count = 0;
  for (const auto& route : routes.routes()) count += route.draining() ? 0 : 1;
  return count;
}

TEST_F(FleetTest, AnEditIsRolledOutReplicaByReplicaWithoutAMomentOfLess) {
  ASSERT_TRUE(world.apply(world.sim("sim", 2)));
  ASSERT_TRUE(world.routes_until([](const v1::Routes& routes) { return serving(routes) == 2; }));
  v1::Deployment edited = world.sim("sim", 2);
  edited.set_sequences_max(5);
  const auto applied = world.apply(edited);
  ASSERT_TRUE(applied) << applied.error().to_string();
  EXPECT_EQ(applied->rollout().revision(), 2);
  int least = 100;
  ASSERT_TRUE(eventually([&] {
    if (const auto routes = world.routes()) least = std::min(least, serving(*routes));
    const v1::Deployment now = deployment_named("sim");
    return now.revision() == 2 && !now.has_rollout();
  }, 60s));
  EXPECT_EQ(least, 2);
  EXPECT_TRUE(eventually([&] { return world.pid_of("sim-0") == 0 && world.pid_of("sim-1") == 0; }));
  EXPECT_GT(world.pid_of("sim.2-0"), 0);
}

TEST_F(FleetTest, ACanaryWaitsOutAChangeOfSchedulerAndIsPromoted) {
  deploy(world.sim("sim"));
  v1::Deployment edited = world.sim("sim");
  edited.set_sequences_max(5);
  edited.add_rollout_steps(10);
  ASSERT_TRUE(world.apply(edited));
  const auto is_at_ten = [](const v1::Routes& routes) {
    return routes.shares_size() == 2 && routes.shares(0).arm() == "sim.1" && routes.shares(0).weight() == 90 &&
           routes.shares(1).arm() == "sim.2" && routes.shares(1).weight() == 10;
  };
  ASSERT_TRUE(world.routes_until(is_at_ten));
  const pid_t pid = world.pid_of("sim.2-0");
  world.scheduler().kill9();
  world.start_scheduler();
  ASSERT_TRUE(world.routes_until([&](const v1::Routes& routes) { return routes.term() > 1 && is_at_ten(routes); }));
  EXPECT_EQ(world.pid_of("sim.2-0"), pid) << "the new leader found it at its step";
  EXPECT_EQ(deployment_named("sim").rollout().phase(), "waiting");
  EXPECT_EQ(world.change("sim", v1::ChangeRolloutRequest::CHANGE_DRAIN).error().reason, "rollout_running");
  ASSERT_TRUE(world.change("sim", v1::ChangeRolloutRequest::CHANGE_PROMOTE));
  ASSERT_TRUE(eventually([&] {
    const v1::Deployment now = deployment_named("sim");
    return now.revision() == 2 && !now.has_rollout();
  }, 30s));
  ASSERT_TRUE(world.routes_until([](const v1::Routes& routes) { return routes.shares_size() == 0 && has_one_route(routes); }));
  EXPECT_EQ(world.pid_of("sim.2-0"), pid);
}

TEST_F(FleetTest, ARollBackTakesTheCanaryAway) {
  deploy(world.sim("sim"));
  v1::Deployment edited = world.sim("sim");
  edited.set_sequences_max(5);
  edited.add_rollout_steps(50);
  ASSERT_TRUE(world.apply(edited));
  ASSERT_TRUE(eventually([&] { return deployment_named("sim").rollout().phase() == "waiting"; }, 30s));
  ASSERT_TRUE(world.change("sim", v1::ChangeRolloutRequest::CHANGE_ROLL_BACK));
  ASSERT_TRUE(world.routes_until([](const v1::Routes& routes) { return routes.shares_size() == 0 && has_one_route(routes); }));
  EXPECT_EQ(deployment_named("sim").revision(), 1);
  EXPECT_GT(world.pid_of("sim-0"), 0);
}

TEST_F(FleetTest, AnotherModelTakesItsPlaceUnderTheSameName) {
  const v1::Route first = deploy(world.tang_moe());
  v1::Deployment other = world.tang_moe();
  other.set_model("tang-distill-qwen2");
  other.set_variant("bf16");
  EXPECT_EQ(world.apply(other).error().reason, "serves_fixed");
  other.set_serves("tang-moe");
  other.add_rollout_steps(10);
  other.add_rollout_steps(100);
  ASSERT_TRUE(world.apply(other));
  const auto last = world.routes_until([](const v1::Routes& routes) {
    return has_one_route(routes) && routes.routes(0).variant() == "tang-distill-qwen2/bf16";
  }, 120s);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->routes(0).model(), "tang-moe");
  EXPECT_NE(last->routes(0).weights_digest(), first.weights_digest());
  const auto workers = world.workers();
  ASSERT_TRUE(workers);
  EXPECT_EQ(workers->workers(0).report().phase(), "healthy");
  EXPECT_GT(workers->workers(0).report().load_ms(), 0);
}

TEST_F(FleetTest, ADrainedDeploymentKeepsItsPlaceAndComesBack) {
  deploy(world.sim("sim"));
  ASSERT_TRUE(world.change("sim", v1::ChangeRolloutRequest::CHANGE_DRAIN));
  ASSERT_TRUE(world.routes_until(has_no_route));
  EXPECT_TRUE(deployment_named("sim").drained());
  deploy(world.sim("sim"));
  EXPECT_FALSE(deployment_named("sim").drained());
}

TEST_F(FleetTest, APlanSaysWhatThisMachineCanStart) {
  const auto plan = world.plan("tang-moe");
  ASSERT_TRUE(plan) << plan.error().to_string();
  ASSERT_EQ(plan->options_size(), 1);
  EXPECT_TRUE(plan->options(0).can_deploy());
  EXPECT_EQ(plan->options(0).context_max(), 1024);
  EXPECT_EQ(world.plan("gpt").error().reason, "unknown_model");
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
  for (const auto& model : catalogue->models()) {
    if (model.name() == "tang-moe") {
      EXPECT_THAT(model.capabilities(), ::testing::ElementsAre("reasoning"));
      EXPECT_EQ(model.licence(), "MIT");
      EXPECT_THAT(model.variants(0).layouts(), ::testing::Contains("TP1"));
      EXPECT_EQ(model.variants(0).kv_precision(), "f32");
    }
    if (model.name() == "deepseek-v4-pro") {
      EXPECT_EQ(model.parameters_published(), 1'600'000'000'000);
      EXPECT_GT(model.unknown_size(), 0);
      EXPECT_EQ(model.variants(0).layouts_size(), 0) << "nobody knows how it could be cut";
    }
  }
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
