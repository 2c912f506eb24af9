#include "scheduler/drivers/kubernetes/kubernetes_driver.h"

#include <gmock/gmock.h>

#include "scheduler/drivers/kubernetes/objects/object_names.h"
#include "tests/unit/scheduler/drivers/runtime_driver_contract.h"
#include "tests/unit/scheduler/kubernetes/kube_world.h"

namespace tidegate::scheduler {
namespace {

using test::ApiFault;
using test::eventually;
using ::testing::HasSubstr;

INSTANTIATE_TYPED_TEST_SUITE_P(Kubernetes, RuntimeDriverContract, KubeWorld);

class KubernetesDriverTest : public ::testing::Test {
 protected:
  static ReplicaSpec spec(std::string replica = "d-0", std::string pool = "cpu") {
    return {.replica = std::move(replica),
            .deployment = "d",
            .model = "m",
            .variant = "sim",
            .engine = "sim",
            .region = "local",
            .pool = std::move(pool)};
  }
  std::optional<ReplicaProcess> seen(const std::string& replica = "d-0") {
    for (ReplicaProcess& process : world.driver().observe(world.now())) {
      if (process.replica == replica) return std::move(process);
    }
    return std::nullopt;
  }
  std::size_t count(const std::string& plural) {
    return world.server.with_store([&](const test::KubeStore& store) { return store.count(plural); });
  }
  test::KubePath path(const std::string& plural, const std::string& name) const {
    const std::string group = plural == "leases" ? "coordination.k8s.io" : "apps";
    return {"/apis/" + group + "/v1/namespaces/tg/" + plural, name, ""};
  }
  json::object stored(const std::string& plural, const std::string& name) {
    return world.server.with_store([&](const test::KubeStore& store) { return store.get(path(plural, name)).body; });
  }
  static std::string term_of(const json::object& object) {
    return std::string(object.at("metadata").at("annotations").at(kube::kTermAnnotation).as_string());
  }
  void start_and_settle(const std::string& replica = "d-0", Term term = 1) {
    ASSERT_TRUE(world.driver().start(spec(replica), term));
    world.settled();
  }

  KubeWorld world;
};

TEST_F(KubernetesDriverTest, ServerThatHangsKeepsNobodyWaiting) {
  world.settings.call_limit = std::chrono::minutes(1);  // so long would wait who waited for an answer
  world.first = world.open();
  ApiFault hang;
  hang.kind = ApiFault::Kind::kStall;
  hang.times = 1000;
  world.server.add_fault(hang);
  const Mono began = world.now();
  ASSERT_TRUE(world.driver().start(spec(), 1));
  ASSERT_TRUE(seen());
  EXPECT_TRUE(seen()->alive) << "as good as started until the cluster refuses it";
  ASSERT_TRUE(world.driver().stop("d-1", 1));
  EXPECT_LT(world.now() - began, std::chrono::seconds(30));
  world.server.clear_faults();
  EXPECT_TRUE(eventually([&] { return count("deployments") == 1; }));
}

TEST_F(KubernetesDriverTest, RefusalsThatPassAreOutlastedAndSaidMeanwhile) {
  ApiFault busy;
  busy.method = "PATCH";
  busy.status = 503;
  busy.times = 1000;
  world.server.add_fault(busy);
  ASSERT_TRUE(world.driver().start(spec(), 1));
  EXPECT_TRUE(eventually([&] { return seen()->waits_for.find("503") != std::string::npos; }));
  world.server.clear_faults();
  busy.status = 429;
  busy.retry_after_s = 1;
  busy.times = 1;
  world.server.add_fault(busy);
  busy.kind = ApiFault::Kind::kCut;
  busy.times = 3;
  world.server.add_fault(busy);
  world.settled();
  EXPECT_EQ(count("deployments"), 1u);
  EXPECT_GT(world.registry.value("tidegate_scheduler_kube_calls_total", {{"result", "throttled"}}), 0);
  EXPECT_GT(world.registry.value("tidegate_scheduler_kube_calls_total", {{"result", "failed"}}), 0);
}

TEST_F(KubernetesDriverTest, LostAnswerIsNoSecondRun) {
  ApiFault lost;
  lost.kind = ApiFault::Kind::kLostAnswer;
  lost.method = "PATCH";
  lost.path_part = "/deployments/";
  world.server.add_fault(lost);
  ASSERT_TRUE(world.driver().start(spec(), 1));
  const std::string incarnation = seen()->incarnation;
  world.settled();
  EXPECT_EQ(seen()->incarnation, incarnation);
  EXPECT_TRUE(eventually([&] { return count("pods") == 1; }));
}

TEST_F(KubernetesDriverTest, ExpiredWatchListsAgainAndMissesNothing) {
  start_and_settle();
  world.server.silence_watches(true);
  world.server.with_store(
      [&](test::KubeStore& store) { return store.remove(path("deployments", "tg-d-0"), {}).status; });
  const std::int64_t lists = world.server.lists();
  world.server.expire_watches();
  world.server.silence_watches(false);
  EXPECT_TRUE(eventually([&] {
    const auto process = seen();
    return process && !process->alive && process->exit.find("deleted by somebody else") != std::string::npos;
  }));
  EXPECT_GT(world.server.lists(), lists);
  EXPECT_TRUE(eventually([&] {
    return world.registry.value("tidegate_scheduler_kube_watch_restarts_total", {{"why", "expired"}}) > 0;
  }));
}

TEST_F(KubernetesDriverTest, CutWatchesAreTakenUpAgain) {
  start_and_settle();
  constexpr int kWatches = 3;  // deployments, groups and pods
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(eventually([&] { return world.server.watches_open() == kWatches; })) << "there must be one to cut";
    const double failed = world.registry.value("tidegate_scheduler_kube_watch_restarts_total", {{"why", "failed"}});
    world.server.cut_watches();
    EXPECT_TRUE(eventually([&] {
      return world.registry.value("tidegate_scheduler_kube_watch_restarts_total", {{"why", "failed"}}) > failed;
    }));
  }
  world.kill("d-0");
  EXPECT_TRUE(eventually([&] { return !seen()->alive; }));
}

TEST_F(KubernetesDriverTest, EndThatTheClusterHealedIsToldOnce) {
  start_and_settle();
  const std::string before = seen()->incarnation;
  world.hands->restart_container("d-0", 139);
  std::vector<std::string> exits;
  EXPECT_TRUE(eventually([&] {
    const auto process = seen();
    if (!process->alive) exits.push_back(process->exit);
    return process->alive && process->incarnation != before;
  }));
  EXPECT_EQ(exits, std::vector<std::string>{"signal 11"});
}

TEST_F(KubernetesDriverTest, ReplacedPodIsAnotherIncarnation) {
  start_and_settle();
  const std::string before = seen()->incarnation;
  world.hands->delete_pod("d-0");
  EXPECT_TRUE(eventually([&] {
    const auto process = seen();
    return process->alive && process->incarnation != before;
  }));
}

TEST_F(KubernetesDriverTest, EndedReplicaIsGivenAFreshPodByItsNextStart) {
  start_and_settle();
  world.kill("d-0");
  ASSERT_TRUE(eventually([&] { return !seen()->alive; }));
  ASSERT_TRUE(world.driver().start(spec(), 1));
  world.settled();
  EXPECT_EQ(count("deployments"), 1u);
  world.kill("d-0");  // waits for a pod that runs
  EXPECT_TRUE(eventually([&] { return !seen()->alive; }));
}

TEST_F(KubernetesDriverTest, PodThatDoesNotGoIsTakenAwayByForce) {
  start_and_settle();
  ASSERT_TRUE(eventually([&] { return count("pods") == 1; }));
  world.hands->hold_pods(true);
  ASSERT_TRUE(world.driver().stop("d-0", 1));
  EXPECT_TRUE(eventually([&] { return !seen(); }));
  EXPECT_EQ(count("pods"), 0u);
}

TEST_F(KubernetesDriverTest, ReplicaOverTwoNodesIsAGroup) {
  ASSERT_TRUE(world.driver().start(spec("d-0", "h100x2"), 1));
  world.settled();
  EXPECT_EQ(count("leaderworkersets"), 1u);
  EXPECT_TRUE(eventually([&] { return count("pods") == 2; }));
  EXPECT_TRUE(seen()->alive);
  world.kill("d-0");
  EXPECT_TRUE(eventually([&] { return !seen()->alive; }));
}

TEST_F(KubernetesDriverTest, ClusterWithoutGroupsRunsTheRestAndSaysWhatIsMissing) {
  world.server.with_store([](test::KubeStore& store) { store.take_away("leaderworkersets"); });
  const auto other = world.open();
  EXPECT_TRUE(other->knows_what_runs());
  ASSERT_TRUE(other->start(spec("d-0"), 1));
  ASSERT_TRUE(other->start(spec("d-1", "h100x2"), 1));
  std::string exit;
  EXPECT_TRUE(eventually([&] {
    for (const ReplicaProcess& process : other->observe(world.now())) {
      if (process.replica == "d-1" && !process.alive) exit = process.exit;
    }
    return !exit.empty();
  }));
  EXPECT_THAT(exit, HasSubstr("LeaderWorkerSet"));
  EXPECT_TRUE(eventually([&] { return count("deployments") == 1; }));
}

TEST_F(KubernetesDriverTest, UnknownPoolIsRefusedAtOnce) {
  const Status started = world.driver().start(spec("d-0", "moon"), 1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().reason, "unknown_pool");
  EXPECT_FALSE(seen());
}

TEST_F(KubernetesDriverTest, WhatAPodWaitsForIsSaid) {
  world.hands->withhold_nodes(true);
  ASSERT_TRUE(world.driver().start(spec(), 1));
  EXPECT_TRUE(eventually([&] { return seen()->waits_for.find("Insufficient nvidia.com/gpu") != std::string::npos; }));
  EXPECT_TRUE(seen()->alive);
  world.hands->withhold_nodes(false);
  EXPECT_TRUE(eventually([&] { return seen()->waits_for.empty(); }));
}

TEST_F(KubernetesDriverTest, FieldsThatSomebodyElseTookAreNotTakenBack) {
  start_and_settle();
  json::object body = {{"apiVersion", "apps/v1"}, {"kind", "Deployment"}};
  body["metadata"] =
      json::object{{"name", "tg-d-0"}, {"annotations", json::object{{kube::kDigestAnnotation, "by hand"}}}};
  const int taken = world.server.with_store(
      [&](test::KubeStore& store) { return store.apply(path("deployments", "tg-d-0"), body, "kubectl", true).status; });
  ASSERT_EQ(taken, 200);
  world.kill("d-0");
  ASSERT_TRUE(eventually([&] { return !seen()->alive; }));
  ASSERT_TRUE(world.driver().start(spec(), 1));
  EXPECT_TRUE(eventually([&] { return !seen()->alive && seen()->exit.find("conflict with") != std::string::npos; }));
}

TEST_F(KubernetesDriverTest, TermIsOnRecordBeforeAnythingIsWritten) {
  start_and_settle("d-0", 7);
  const auto writes = world.server.writes();
  ASSERT_FALSE(writes.empty());
  // The hands write as well, but nothing before there is an object of ours.
  EXPECT_EQ(writes.front(), "POST /apis/coordination.k8s.io/v1/namespaces/tg/leases");
  EXPECT_EQ(term_of(stored("leases", "tgl-tidegate")), "7");
  EXPECT_EQ(term_of(stored("deployments", "tg-d-0")), "7");
}

TEST_F(KubernetesDriverTest, NewTermStampsWhatItFindsAndTheServerThenRefusesTheOldOne) {
  start_and_settle("d-0", 1);
  const json::object before = stored("deployments", "tg-d-0");
  const auto next = world.another();
  next->begin_term(2);
  EXPECT_TRUE(eventually([&] { return term_of(stored("deployments", "tg-d-0")) == "2"; }));
  EXPECT_EQ(stored("deployments", "tg-d-0").at("spec"), before.at("spec")) << "nothing but the term changed";
  // What a scheduler that slept through the change has in its hands: its own object, under its own term.
  json::object late = {{"apiVersion", "apps/v1"}, {"kind", "Deployment"}};
  late["metadata"] = json::object{{"name", "tg-d-0"}, {"annotations", json::object{{kube::kTermAnnotation, "1"}}}};
  const int status = world.server.with_store([&](test::KubeStore& store) {
    return store.apply(path("deployments", "tg-d-0"), late, "tidegate-scheduler", false).status;
  });
  EXPECT_EQ(status, 409);
}

TEST_F(KubernetesDriverTest, EndedTermWritesNothingMore) {
  start_and_settle("d-0", 1);
  ApiFault busy;
  busy.method = "PATCH";
  busy.path_part = "/deployments/tg-d-1";
  busy.status = 503;
  busy.times = 1000;
  world.server.add_fault(busy);
  ASSERT_TRUE(world.driver().start(spec("d-1"), 1));
  ASSERT_TRUE(eventually([&] { return seen("d-1")->waits_for.find("503") != std::string::npos; }));
  world.driver().end_term();
  EXPECT_FALSE(seen("d-1"));
  EXPECT_TRUE(seen("d-0")->alive) << "what runs is still seen";
  world.server.clear_faults();
  // The next term is the proof that the writers went on: it writes, and what the ended one wanted is not among it.
  world.driver().begin_term(2);
  EXPECT_TRUE(eventually([&] { return term_of(stored("deployments", "tg-d-0")) == "2"; }));
  EXPECT_EQ(count("deployments"), 1u);
}

TEST_F(KubernetesDriverTest, StartAfterANewTermIsNoConflictWithItsStamp) {
  start_and_settle("d-0", 1);
  const auto next = world.another();
  next->begin_term(2);
  world.kill("d-0");
  const auto alive = [&] {
    for (const ReplicaProcess& process : next->observe(world.now())) {
      if (process.replica == "d-0") return process.alive;
    }
    return false;
  };
  ASSERT_TRUE(eventually([&] { return !alive(); }));
  ASSERT_TRUE(next->start(spec(), 2));
  auto* driver = dynamic_cast<KubernetesDriver*>(next.get());
  ASSERT_NE(driver, nullptr);
  EXPECT_TRUE(eventually([&] { return driver->is_settled(); }));
  EXPECT_TRUE(eventually(alive));
}

TEST_F(KubernetesDriverTest, DeploymentsOwnObjectsComeWithItsFirstReplicaAndGoWithItsLast) {
  ASSERT_TRUE(world.driver().start(spec("d-0"), 1));
  ASSERT_TRUE(world.driver().start(spec("d-1"), 1));
  EXPECT_TRUE(eventually(
      [&] { return count("services") == 1 && count("poddisruptionbudgets") == 1 && count("networkpolicies") == 1; }));
  world.settled();
  ASSERT_TRUE(world.driver().stop("d-0", 1));
  EXPECT_TRUE(eventually([&] { return !seen("d-0"); }));
  EXPECT_EQ(count("services"), 1u);
  ASSERT_TRUE(world.driver().stop("d-1", 1));
  EXPECT_TRUE(
      eventually([&] { return count("services") + count("poddisruptionbudgets") + count("networkpolicies") == 0; }));
}

TEST_F(KubernetesDriverTest, RefusedStartIsDeadWithTheServersWordsAndCanBeTriedAgain) {
  ApiFault refusal;
  refusal.method = "PATCH";
  refusal.path_part = "/deployments/";
  refusal.status = 403;
  world.server.add_fault(refusal);
  ASSERT_TRUE(world.driver().start(spec(), 1));
  EXPECT_TRUE(eventually([&] { return !seen()->alive; }));
  EXPECT_THAT(seen()->exit, HasSubstr("403"));
  ASSERT_TRUE(world.driver().start(spec(), 1));
  world.settled();
  EXPECT_EQ(count("deployments"), 1u);
}

}  // namespace
}  // namespace tidegate::scheduler
