#include "scheduler/core/reconciler.h"

#include <gmock/gmock.h>

#include "tests/support/sim_clock.h"
#include "tests/unit/scheduler/core/test_catalogue.h"

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A world that does what it is told, so that a test only says what goes wrong.
class ReconcilerTest : public ::testing::Test {
 protected:
  ReconcilerTest() { reconciler.begin_term(clock.mono(), clock.wall() - 1h); }

  void want(std::int32_t replicas) {
    Deployment deployment = tang_deployment(replicas);
    deployment.created_at = clock.wall();
    desired = {{deployment, replica_specs(deployment, catalogue, "/models")}};
  }
  /// "start tang-0", "stop tang-1", "drain w"
  std::vector<std::string> round() {
    std::vector<std::string> said;
    for (const FleetAction& action : reconciler.reconcile(desired, processes, workers, clock.mono())) {
      if (const auto* start = std::get_if<StartReplica>(&action)) {
        said.push_back("start " + start->spec.replica);
        run(start->spec);
      } else if (const auto* stop = std::get_if<StopReplica>(&action)) {
        said.push_back("stop " + stop->replica);
      } else {
        said.push_back("drain " + std::get<DrainWorker>(action).worker_id);
      }
    }
    return said;
  }
  void run(const ReplicaSpec& spec) {
    processes[spec.replica] = {.replica = spec.replica,
                               .deployment = spec.deployment,
                               .spec_digest = spec.digest(),
                               .incarnation = std::to_string(++next_pid),
                               .alive = true};
  }
  void ready(const std::string& replica) {
    workers[replica] = {.worker_id = "w-" + replica, .deployment = "tang", .ready = true};
  }
  void die(const std::string& replica, std::string exit = "signal 9") {
    processes[replica].alive = false;
    processes[replica].exit = std::move(exit);
    workers.erase(replica);
  }
  std::vector<std::string> round_after(Duration span) {
    clock.advance(span);
    return round();
  }
  DeploymentStatus status() { return reconciler.statuses().at("tang"); }

  Catalogue catalogue = test_catalogue();
  test::SimClock clock;
  Reconciler reconciler{{}, 42};
  std::vector<DesiredDeployment> desired;
  std::map<std::string, ReplicaProcess> processes;
  std::map<std::string, ReplicaWorker> workers;
  int next_pid = 100;
};

TEST_F(ReconcilerTest, WhatAReplicaWaitsForIsItsDeploymentsMessage) {
  want(1);
  round();
  processes["tang-0"].waits_for = "0/3 nodes are available";
  round();
  EXPECT_EQ(status().message, "tang-0 waits: 0/3 nodes are available");
  EXPECT_EQ(status().phase, DeploymentPhase::kStarting);
  ready("tang-0");
  round();
  EXPECT_EQ(status().message, "");
}

TEST_F(ReconcilerTest, StartsEachWantedReplicaOnce) {
  want(2);
  EXPECT_THAT(round(), ElementsAre("start tang-0", "start tang-1"));
  EXPECT_THAT(round(), IsEmpty());
  EXPECT_EQ(status().phase, DeploymentPhase::kStarting);
  ready("tang-0");
  ready("tang-1");
  EXPECT_THAT(round(), IsEmpty());
  EXPECT_EQ(status().phase, DeploymentPhase::kReady);
  EXPECT_EQ(status().replicas_ready, 2);
}

TEST_F(ReconcilerTest, KilledReplicaIsStartedAgainAfterItsBackoff) {
  want(1);
  round();
  ready("tang-0");
  round();
  die("tang-0");
  EXPECT_THAT(round(), IsEmpty());
  EXPECT_THAT(round_after(199ms), IsEmpty());
  EXPECT_THAT(round_after(1ms), ElementsAre("start tang-0"));
  EXPECT_EQ(reconciler.restarts("tang-0"), 1);
}

TEST_F(ReconcilerTest, CrashLoopBacksOffExponentiallyUpToItsCeilingAndSaysSo) {
  want(1);
  round();
  int starts = 1;
  for (int i = 0; i < 3000; ++i) {  // 300 s in steps of 100 ms; it dies as soon as it runs
    if (processes["tang-0"].alive) die("tang-0", "exit status 1");
    starts += static_cast<int>(round_after(100ms).size());
  }
  // 8 doublings reach the ceiling of 30 s, whose delays average 15 s: far from the 3000 of no back-off.
  EXPECT_GT(starts, 12);
  EXPECT_LT(starts, 60);
  EXPECT_EQ(status().phase, DeploymentPhase::kDegraded);
  EXPECT_THAT(status().message, HasSubstr("tang-0 ended with exit status 1"));
  EXPECT_THAT(status().message, HasSubstr("failures in a row"));
}

TEST_F(ReconcilerTest, AReplicaKilledAtItsMemoryLimitIsSaidToBeAndItsRestartsWaitTheirTurn) {
  want(1);
  round();
  int starts = 1;
  for (int i = 0; i < 3000; ++i) {
    if (processes["tang-0"].alive) die("tang-0", "killed at its memory limit of 67108864 bytes");
    starts += static_cast<int>(round_after(100ms).size());
  }
  EXPECT_GT(starts, 12);
  EXPECT_LT(starts, 60);
  EXPECT_THAT(status().message, HasSubstr("tang-0 was killed at its memory limit of 67108864 bytes"));
}

TEST_F(ReconcilerTest, StabilityForgivesEarlierFailures) {
  want(1);
  round();
  for (int i = 0; i < 5; ++i) {
    die("tang-0");
    round();
    round_after(30s);
  }
  ready("tang-0");
  round();
  round_after(60s);
  die("tang-0");
  round();
  EXPECT_THAT(round_after(200ms), ElementsAre("start tang-0")) << "back at the least delay";
}

TEST_F(ReconcilerTest, RunningReplicaOfAnEarlierSchedulerIsAdoptedNotStartedTwice) {
  want(1);
  run(desired[0].replicas[0]);
  EXPECT_THAT(round(), IsEmpty());
  EXPECT_EQ(status().phase, DeploymentPhase::kStarting) << "its worker has not come back yet";
  ready("tang-0");
  round();
  EXPECT_EQ(status().phase, DeploymentPhase::kReady);
  EXPECT_EQ(reconciler.restarts("tang-0"), 0);
}

TEST_F(ReconcilerTest, WorkerThatReRegistersIsAdoptedEvenIfTheDriverKnowsNoProcess) {
  want(1);
  desired[0].deployment.created_at = clock.wall() - 2h;  // older than this term
  EXPECT_THAT(round(), IsEmpty()) << "it gets time to come back";
  ready("tang-0");
  EXPECT_THAT(round_after(1s), IsEmpty());
  EXPECT_THAT(round_after(10s), IsEmpty());
  EXPECT_EQ(status().phase, DeploymentPhase::kReady);
}

TEST_F(ReconcilerTest, MissingReplicaOfAnOlderDeploymentStartsAfterTheAdoptionGrace) {
  want(1);
  desired[0].deployment.created_at = clock.wall() - 2h;
  EXPECT_THAT(round_after(1999ms), IsEmpty());
  EXPECT_THAT(round_after(1ms), ElementsAre("start tang-0"));
}

TEST_F(ReconcilerTest, ReplicaThatDiedWhileNoSchedulerLookedIsStartedAtOnce) {
  want(1);
  desired[0].deployment.created_at = clock.wall() - 2h;
  run(desired[0].replicas[0]);
  die("tang-0");
  EXPECT_THAT(round(), ElementsAre("start tang-0"));
}

TEST_F(ReconcilerTest, ScalingDownStopsTheHighestOrdinalsOnce) {
  want(3);
  round();
  want(1);
  EXPECT_THAT(round(), ElementsAre("stop tang-1", "stop tang-2"));
  EXPECT_THAT(round(), IsEmpty());
  die("tang-1", "exit status 0");
  die("tang-2", "exit status 0");
  EXPECT_THAT(round_after(1min), IsEmpty());
  EXPECT_EQ(reconciler.start_failures_total(), 0) << "a stop is not a failure";
}

TEST_F(ReconcilerTest, DeletedDeploymentIsDeletingUntilItsLastProcessEnded) {
  want(1);
  round();
  desired.clear();
  EXPECT_THAT(round(), ElementsAre("stop tang-0"));
  EXPECT_EQ(status().phase, DeploymentPhase::kDeleting);
  die("tang-0", "exit status 0");
  round();
  EXPECT_FALSE(reconciler.statuses().contains("tang"));
}

TEST_F(ReconcilerTest, UnwantedReplicaThatEndedBeforeOurTimeIsToldToTheDriverOnceAndForgotten) {
  processes["old-0"] = {.replica = "old-0", .deployment = "old", .incarnation = "7", .alive = false,
                        .exit = "ended while no scheduler watched"};
  EXPECT_THAT(round(), ElementsAre("stop old-0"));
  EXPECT_THAT(round(), IsEmpty()) << "a driver may keep it";
  EXPECT_FALSE(reconciler.statuses().contains("old"));
}

TEST_F(ReconcilerTest, ChangedSpecIsRolledOutOneReplicaAtATime) {
  want(2);
  round();
  ready("tang-0");
  ready("tang-1");
  round();
  for (ReplicaSpec& spec : desired[0].replicas) spec.threads = 2;
  EXPECT_THAT(round(), ElementsAre("stop tang-0"));
  EXPECT_THAT(round(), IsEmpty());
  die("tang-0", "exit status 0");
  EXPECT_THAT(round(), ElementsAre("start tang-0"));
  EXPECT_THAT(round(), IsEmpty()) << "tang-1 serves until tang-0 is ready";
  ready("tang-0");
  EXPECT_THAT(round(), ElementsAre("stop tang-1"));
}

TEST_F(ReconcilerTest, HungReplicaIsReplaced) {
  want(1);
  round();
  ready("tang-0");
  round();
  workers.clear();
  EXPECT_THAT(round_after(29s), IsEmpty());
  EXPECT_THAT(round_after(1s), ElementsAre("stop tang-0"));
  die("tang-0");
  round();
  EXPECT_THAT(round_after(1s), ElementsAre("start tang-0"));
}

TEST_F(ReconcilerTest, ReplicaThatNeverBecomesReadyIsReplaced) {
  want(1);
  round();
  EXPECT_THAT(round_after(10min), ElementsAre("stop tang-0"));
  EXPECT_THAT(status().message, HasSubstr("was not ready in time"));
}

TEST_F(ReconcilerTest, FailedStartIsTriedAgainWithBackoff) {
  want(1);
  ASSERT_THAT(round(), ElementsAre("start tang-0"));
  processes.clear();
  reconciler.start_failed("tang-0", "no such file", clock.mono());
  EXPECT_THAT(round(), IsEmpty());
  EXPECT_THAT(status().message, HasSubstr("no such file"));
  EXPECT_THAT(round_after(200ms), ElementsAre("start tang-0"));
}

TEST_F(ReconcilerTest, WorkerOfAForgottenDeploymentIsDrainedWorkerStartedByHandIsLeftAlone) {
  workers["old-0"] = {.worker_id = "w1", .deployment = "old", .ready = true};
  workers["byhand"] = {.worker_id = "w2", .deployment = "", .ready = true};
  EXPECT_THAT(round(), ElementsAre("drain w1"));
}

}  // namespace
}  // namespace tidegate::scheduler
