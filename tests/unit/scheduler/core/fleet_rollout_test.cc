// Rollouts through the whole of Fleet: what is started, stopped, routed and stored, and by which leader.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <set>

#include "scheduler/core/fleet.h"
#include "scheduler/core/replica_progress.h"
#include "tests/support/sim_clock.h"
#include "tests/unit/scheduler/core/test_catalogue.h"

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

/// A world that does as it is told: what is started runs and serves with the next round, what is stopped is gone.
class FleetRolloutTest : public ::testing::Test {
 protected:
  FleetRolloutTest() {
    stored = tang_deployment(2);
    stored.created_at = clock.wall();
    stored.version = 1;
  }
  void lead(Term term) {
    fleet.begin_term(term, {stored}, clock.mono(), clock.wall());
    leading = term;
  }
  void edit(std::vector<std::int32_t> steps) {
    Deployment wanted = stored;
    wanted.threads += 2;
    wanted.rollout.steps = std::move(steps);
    auto next = edit_deployment(&stored, wanted, clock.wall());
    ASSERT_TRUE(next) << next.error().to_string();
    store(*next);
    fleet.set_deployment(stored);
  }
  void store(Deployment next) {
    stored = std::move(next);
    ++stored.version;
  }
  /// 100 ms of the fleet's life. `stores`: the database answers.
  void round(bool stores = true) {
    clock.advance(100ms);
    for (const auto& [replica, process] : processes) {
      if (!process.alive || silent.contains(replica)) continue;
      fleet.on_report(link_of(replica),
                      {.worker_id = "w-" + replica + process.incarnation,
                       .deployment = "tang",
                       .replica = replica,
                       .address = "unix:/w",
                       .model = "tang-moe",
                       .variant = "fp8",
                       .region = "local",
                       .pool = "cpu",
                       .state = WorkerState::kReady,
                       .sequences_max = 4},
                      clock.mono());
    }
    std::vector<ReplicaProcess> seen;
    for (const auto& [replica, process] : processes) seen.push_back(process);
    fleet.on_processes(std::move(seen), clock.mono());
    for (const FleetAction& action : fleet.tick(clock.mono(), clock.wall())) {
      if (const auto* start = std::get_if<StartReplica>(&action)) run(start->spec);
      const auto* stop = std::get_if<StopReplica>(&action);
      if (stop == nullptr) continue;
      processes.erase(stop->replica);
      fleet.on_link_closed(link_of(stop->replica), clock.mono());
    }
    serving_least = std::min(serving_least, serving());
    for (Deployment& next : fleet.take_saves()) {
      if (!stores) {
        fleet.on_save_failed(next.name, "frozen", clock.mono());
        continue;
      }
      store(std::move(next));
      fleet.on_saved(stored);
    }
  }
  void rounds(int count) {
    for (int i = 0; i < count; ++i) round();
  }
  void run(const ReplicaSpec& spec) {
    processes[spec.replica] = {.replica = spec.replica,
                               .deployment = spec.deployment,
                               .spec_digest = spec.digest(),
                               .incarnation = std::to_string(++next_pid),
                               .alive = true};
  }
  bool is_alive(const std::string& replica) const {
    const auto found = processes.find(replica);
    return found != processes.end() && found->second.alive;
  }
  /// Its process ends, and no worker of it says anything from now on. False: none runs.
  bool dies(const std::string& replica) {
    if (!is_alive(replica)) return false;
    processes[replica].alive = false;
    processes[replica].exit = "exit status 1";
    silent.insert(replica);
    return true;
  }
  LinkId link_of(const std::string& replica) {
    return links.try_emplace(std::to_string(leading) + replica, links.size() + 1).first->second;
  }
  /// Routes that take requests.
  std::size_t serving() const {
    std::size_t count = 0;
    for (const Route& route : fleet.routes().routes) count += route.draining ? 0 : 1;
    return count;
  }
  std::vector<std::string> running() const {
    std::vector<std::string> names;
    for (const auto& [replica, process] : processes) names.push_back(replica);
    return names;
  }
  std::int64_t weight(const std::string& arm) const {
    for (const TrafficShare& share : fleet.routes().shares) {
      if (share.arm == arm) return share.weight;
    }
    return -1;
  }

  Catalogue catalogue = test_catalogue();
  test::SimClock clock;
  Fleet fleet{catalogue, {.models_folder = "/models"}, 1};
  Deployment stored;
  Term leading = 0;
  std::map<std::string, ReplicaProcess> processes;
  std::map<std::string, LinkId> links;
  std::set<std::string> silent;
  std::size_t serving_least = 1000;
  int next_pid = 0;
};

TEST_F(FleetRolloutTest, AnEditIsRolledOutWithoutAMomentOfLessCapacity) {
  lead(1);
  rounds(10);
  ASSERT_EQ(serving(), 2u);
  serving_least = 1000;
  edit({});
  rounds(100);
  EXPECT_EQ(stored.revision, 2);
  EXPECT_THAT(running(), UnorderedElementsAre("tang.2-0", "tang.2-1"));
  EXPECT_EQ(serving_least, 2u);
  EXPECT_THAT(fleet.routes().shares, IsEmpty());
}

TEST_F(FleetRolloutTest, AReplicaIsOutOfTheRoutesBeforeItIsToldToStop) {
  lead(1);
  rounds(10);
  edit({});
  bool was_warned = false;
  for (int i = 0; i < 100 && processes.contains("tang-1"); ++i) {
    round();
    for (const Route& route : fleet.routes().routes)
      was_warned = was_warned || (route.draining && processes.contains("tang-1"));
  }
  EXPECT_TRUE(was_warned);
}

TEST_F(FleetRolloutTest, ByStepsTheSharesFollowAndThenTheOldOnesGo) {
  lead(1);
  rounds(10);
  edit({10, 100});
  serving_least = 1000;
  std::vector<std::int64_t> weights;
  for (int i = 0; i < 100; ++i) {
    round();
    const std::int64_t now = weight("tang.2");
    if (weights.empty() || weights.back() != now) weights.push_back(now);
  }
  EXPECT_THAT(weights, ElementsAre(0, 20, 200, -1)) << "of 200; -1: not divided any more";
  rounds(30);
  EXPECT_THAT(running(), UnorderedElementsAre("tang.2-0", "tang.2-1"));
  EXPECT_GE(serving_least, 2u);
}

TEST_F(FleetRolloutTest, NothingIsActedOnBeforeItIsStored) {
  lead(1);
  rounds(10);
  edit({10, 100});
  for (int i = 0; i < 50; ++i) round(false);
  EXPECT_EQ(weight("tang.2"), 0);
  EXPECT_THAT(running(), UnorderedElementsAre("tang-0", "tang-1", "tang.2-0"));
  rounds(100);
  EXPECT_EQ(stored.revision, 2);
}

TEST_F(FleetRolloutTest, ANewLeaderGoesOnAtEveryStep) {
  for (int lost_after = 0; lost_after < 60; lost_after += 3) {
    SCOPED_TRACE(lost_after);
    processes.clear();
    fleet.end_term();
    stored = tang_deployment(2);
    stored.created_at = clock.wall();
    stored.version = 1;
    lead(1);
    rounds(10);
    serving_least = 1000;
    edit({10, 100});
    rounds(lost_after);
    const Deployment at_loss = stored;
    fleet.end_term();
    clock.advance(5s);
    lead(2);
    EXPECT_EQ(fleet.deployments().at("tang"), at_loss);
    // Routes are not shown before the workers have come back, so what is missing then is missed by nobody.
    for (int i = 0; i < 3; ++i) round();
    serving_least = 1000;
    rounds(120);
    EXPECT_EQ(stored.revision, 2);
    EXPECT_THAT(running(), UnorderedElementsAre("tang.2-0", "tang.2-1"));
    EXPECT_GE(serving_least, 2u);
  }
}

TEST_F(FleetRolloutTest, ANewLeaderStopsNobodyBeforeGatewaysHaveHeardOfIt) {
  lead(1);
  rounds(10);
  fleet.end_term();
  stored.replicas = 1;
  silent = {"tang-1"};  // it serves, and has not found the new leader yet
  lead(2);
  rounds(20);
  ASSERT_FALSE(fleet.is_settled());
  EXPECT_THAT(running(), UnorderedElementsAre("tang-0", "tang-1"));
  silent.clear();
  round();
  ASSERT_TRUE(fleet.is_settled());
  EXPECT_EQ(serving(), 1u) << "the routes that are shown first say that it goes";
  rounds(9);
  EXPECT_THAT(running(), UnorderedElementsAre("tang-0", "tang-1")) << "the notice is not over";
  round();
  EXPECT_THAT(running(), ElementsAre("tang-0"));
}

TEST_F(FleetRolloutTest, WhoNeverComesBackIsStoppedWhenTheRoutesAreShownWithoutIt) {
  lead(1);
  rounds(10);
  fleet.end_term();
  stored.replicas = 1;
  silent = {"tang-1"};
  lead(2);
  rounds(29);
  EXPECT_THAT(running(), UnorderedElementsAre("tang-0", "tang-1"));
  rounds(2);
  EXPECT_TRUE(fleet.is_settled());
  EXPECT_THAT(running(), ElementsAre("tang-0"));
}

TEST_F(FleetRolloutTest, ANewRevisionThatDiesAgainAndAgainIsTakenBack) {
  lead(1);
  rounds(10);
  edit({50});
  for (int i = 0; i < 300 && stored.rollout.phase != RolloutPhase::kNone; ++i) {
    round();
    dies("tang.2-0");
  }
  EXPECT_EQ(stored.revision, 1);
  EXPECT_EQ(stored.rollout.phase, RolloutPhase::kNone);
  EXPECT_EQ(serving(), 2u);
}

TEST_F(FleetRolloutTest, WhereTheOldRevisionDiesTooTheRolloutFailsAndWhatServesStays) {
  lead(1);
  rounds(10);
  silent = {"tang.2-1"};  // one was replaced, and the next one takes its time
  edit({});
  for (int i = 0; i < 100 && processes.contains("tang-1"); ++i) round();
  ASSERT_THAT(running(), UnorderedElementsAre("tang-0", "tang.2-0", "tang.2-1"));
  store(*roll_back(stored, "looks odd", clock.wall()));
  fleet.set_deployment(stored);
  serving_least = 1000;
  for (int i = 0; i < 2000 && stored.rollout.phase == RolloutPhase::kBack; ++i) {
    round();
    dies("tang-1");
  }
  ASSERT_EQ(stored.rollout.phase, RolloutPhase::kFailed);
  EXPECT_NE(stored.rollout.why.find("tang-1 ended with exit status 1"), std::string::npos) << stored.rollout.why;
  rounds(50);
  EXPECT_EQ(serving_least, 2u) << "tang-0 and tang.2-0";
  silent.clear();
  for (int i = 0; i < 1000 && stored.rollout.phase != RolloutPhase::kNone; ++i) round();
  EXPECT_EQ(stored.rollout.phase, RolloutPhase::kNone) << "it started after all";
  EXPECT_EQ(stored.revision, 1);
  rounds(30);
  EXPECT_THAT(running(), UnorderedElementsAre("tang-0", "tang-1"));
  EXPECT_GE(serving_least, 2u);
}

TEST_F(FleetRolloutTest, AnOldRevisionThatLoadsAfterItDiedOftenIsWaitedFor) {
  lead(1);
  rounds(10);
  silent = {"tang.2-1"};
  edit({});
  for (int i = 0; i < 100 && processes.contains("tang-1"); ++i) round();
  store(*roll_back(stored, "looks odd", clock.wall()));
  fleet.set_deployment(stored);
  silent.insert("tang-1");
  for (int deaths = 0; deaths < 3;) {
    round();
    if (dies("tang-1")) ++deaths;
  }
  while (!is_alive("tang-1")) round();  // the fourth start loads
  const Mono later = clock.mono() + 2 * std::chrono::seconds(kBackCrashLoopS);
  while (clock.mono() < later) round();
  EXPECT_EQ(stored.rollout.phase, RolloutPhase::kBack) << stored.rollout.why;
  silent.clear();
  for (int i = 0; i < 1000 && stored.rollout.phase != RolloutPhase::kNone; ++i) round();
  EXPECT_EQ(stored.rollout.phase, RolloutPhase::kNone);
  EXPECT_EQ(stored.revision, 1);
}

TEST_F(FleetRolloutTest, OtherWeightsThanTheCatalogueSaysAreTakenBack) {
  Catalogue strict;
  CatalogueModel model{.name = "tang-moe", .context_max = 1024};
  model.variants.push_back({.name = "fp8", .path = "tang-moe", .weights_digest = "sha256:aa", .engine = "tidegate"});
  ASSERT_TRUE(strict.add(model));
  Fleet judging{strict, {.models_folder = "/models"}, 1};
  Deployment deployment = tang_deployment(1);
  deployment.version = 1;
  deployment.rollout.phase = RolloutPhase::kRolling;
  deployment.rollout.revision = deployment.revisions = 2;
  deployment.rollout.spec = spec_of(deployment);
  judging.begin_term(1, {deployment}, clock.mono(), clock.wall());
  judging.on_processes({}, clock.mono());
  judging.on_report(1,
                    {.worker_id = "w",
                     .deployment = "tang",
                     .replica = "tang.2-0",
                     .model = "tang-moe",
                     .weights_digest = "sha256:bb",
                     .state = WorkerState::kReady},
                    clock.mono());
  judging.tick(clock.mono(), clock.wall());
  const auto saves = judging.take_saves();
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_EQ(saves[0].rollout.phase, RolloutPhase::kBack);
  EXPECT_NE(saves[0].rollout.why.find("sha256:bb"), std::string::npos);
}

TEST_F(FleetRolloutTest, WhatWasRemovedDoesNotComeBackByALateAnswer) {
  lead(1);
  rounds(10);
  edit({10});
  fleet.remove_deployment("tang");
  fleet.on_saved(stored);
  EXPECT_TRUE(fleet.deployments().empty());
}

TEST_F(FleetRolloutTest, AnOlderVersionDoesNotReplaceANewerOne) {
  lead(1);
  edit({10});
  Deployment older = stored;
  older.version -= 1;
  older.rollout = {};
  fleet.on_saved(older);
  EXPECT_EQ(fleet.deployments().at("tang").rollout.phase, RolloutPhase::kRolling);
}

TEST_F(FleetRolloutTest, ADrainedDeploymentIsOfferedNoMoreAndItsReplicasGo) {
  lead(1);
  rounds(10);
  store(*drain_deployment(stored));
  fleet.set_deployment(stored);
  rounds(30);
  EXPECT_TRUE(processes.empty());
  EXPECT_THAT(fleet.routes().models, IsEmpty());
}

TEST_F(FleetRolloutTest, ProgressSaysWhatIsReallyKnown) {
  lead(1);
  const auto phases = [&] {
    std::vector<std::string> all;
    for (const ReplicaProgress& one : fleet.progress_of(fleet.deployments().at("tang")))
      all.push_back(one.replica + " " + one.phase);
    return all;
  };
  silent = {"tang-0", "tang-1"};
  EXPECT_THAT(phases(), ElementsAre("tang-0 pending", "tang-1 pending"));
  rounds(2);
  EXPECT_THAT(phases(), ElementsAre("tang-0 starting", "tang-1 starting"));
  fleet.on_report(90,
                  {.worker_id = "w", .deployment = "tang", .replica = "tang-0", .model = "tang-moe", .phase = "verify"},
                  clock.mono());
  EXPECT_THAT(phases(), ElementsAre("tang-0 verify", "tang-1 starting"));
}

}  // namespace
}  // namespace tidegate::scheduler
