#include "scheduler/core/autoscaler.h"

#include <gtest/gtest.h>

#include "tests/support/sim_clock.h"

namespace tidegate::scheduler {
namespace {

using namespace std::chrono_literals;

class AutoscalerTest : public ::testing::Test {
 protected:
  Deployment& add(std::string name, std::int32_t least, std::int32_t most, std::int32_t replicas = 1) {
    Deployment one;
    one.name = name;
    one.model = name == "batch" ? "batch-model" : "m";
    one.variant = "v";
    one.replicas = replicas;
    one.autoscale.is_on = true;
    one.autoscale.replicas_min = least;
    one.autoscale.replicas_max = most;
    one.created_at = clock.wall();
    return deployments[name] = one;
  }
  void run_process(const std::string& deployment, int ordinal) {
    const std::string name = deployment + "-" + std::to_string(ordinal);
    processes[name] = {.replica = name, .deployment = deployment, .incarnation = "1", .alive = true};
  }
  void worker(const std::string& deployment, int ordinal, std::int32_t running,
              WorkerState state = WorkerState::kReady) {
    WorkerReport report;
    report.deployment = deployment;
    report.replica = deployment + "-" + std::to_string(ordinal);
    report.worker_id = report.replica;
    report.state = state;
    report.sequences_max = 10;
    report.sequences_running = running;
    workers.report(std::hash<std::string>()(report.replica), report, clock.mono());
  }
  void demand(const std::string& model, std::int64_t arrivals, std::int64_t waiting) {
    PoolDemand pool{.model = model,
                    .region = "local",
                    .pool = "cpu",
                    .arrivals_total = arrivals,
                    .waiting = waiting,
                    .oldest_wait = waiting > 0 ? Duration(1s) : Duration(0s)};
    scaler.on_demand({.gateway_id = "g", .epoch = 1, .pools = {pool}}, clock.mono());
  }
  std::vector<Autoscaler::Change> run() {
    return scaler.run(deployments, processes, workers, began, clock.mono(), clock.wall());
  }
  void pass(Duration span) { clock.advance(span); }

  test::SimClock clock;
  Wall began = clock.wall();
  std::map<std::string, Deployment> deployments;
  std::map<std::string, ReplicaProcess> processes;
  WorkerTable workers;
  Autoscaler scaler{AutoscaleSettings{}};
};

TEST_F(AutoscalerTest, ANewDeploymentBeginsWithItsReplicasAndAnOffOneKeepsThem) {
  add("a", 1, 8, 3);
  add("b", 1, 8, 3).autoscale.is_on = false;
  run();
  EXPECT_EQ(scaler.replicas_of(deployments["a"]), 3);
  EXPECT_EQ(scaler.replicas_of(deployments["b"]), 3);
  EXPECT_EQ(scaler.decision_of("b"), nullptr);
}

TEST_F(AutoscalerTest, ANewLeaderAdoptsAsManyAsRunWhateverTheDeploymentSays) {
  Deployment& one = add("a", 1, 8, 1);
  one.created_at = began - 24h;
  for (int i : {0, 1, 2, 4}) run_process("a", i);  // number 3 died on the way
  run();
  EXPECT_EQ(scaler.replicas_of(deployments["a"]), 5);
}

TEST_F(AutoscalerTest, ANewLeaderLetsASleepingDeploymentSleep) {
  Deployment& one = add("a", 0, 8, 2);
  one.created_at = began - 24h;
  run();
  EXPECT_EQ(scaler.replicas_of(deployments["a"]), 0);
}

TEST_F(AutoscalerTest, AHeldRequestWakesASleeperBeforeItsNextInterval) {
  add("a", 0, 8, 0);
  run();
  ASSERT_EQ(scaler.replicas_of(deployments["a"]), 0);
  pass(1s);
  demand("m", 1, 1);
  const auto changes = run();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].made.cause, AutoscaleCause::kWake);
  EXPECT_EQ(scaler.replicas_of(deployments["a"]), 1);
}

TEST_F(AutoscalerTest, TheTimeToBeReadyIsMeasuredFromTheOrder) {
  add("a", 1, 8, 1);
  run();
  EXPECT_EQ(scaler.time_to_ready("a"), 0s);
  scaler.on_replica_start("a-0", clock.mono());
  worker("a", 0, 0, WorkerState::kLoading);
  pass(42s);
  run();
  EXPECT_EQ(scaler.time_to_ready("a"), 0s);
  worker("a", 0, 0);
  run();
  EXPECT_EQ(scaler.time_to_ready("a"), 42s);
}

TEST_F(AutoscalerTest, EveryDeploymentOfAPoolHearsOfItsDemand) {
  add("a", 1, 8, 1);
  add("b", 1, 8, 1);  // the same model, region and pool
  demand("m", 0, 0);
  run();
  pass(5s);
  demand("m", 100, 0);
  run();
  for (const char* name : {"a", "b"}) {
    ASSERT_NE(scaler.decision_of(name), nullptr);
    EXPECT_EQ(scaler.decision_of(name)->why.find("no gateway reports"), std::string::npos) << name;
    EXPECT_NE(scaler.decision_of(name)->cause, AutoscaleCause::kBlind) << name;
  }
}

TEST_F(AutoscalerTest, BatchWorkGetsWhatTheOthersOfItsPoolLeaveAndNoMore) {
  add("chat", 1, 6, 2);
  Deployment& batch = add("batch", 0, 20, 9);
  batch.autoscale.batch_surplus = true;
  run();
  EXPECT_EQ(scaler.replicas_of(deployments["batch"]), 4) << "six at most, less the two that run";
}

TEST_F(AutoscalerTest, BatchWorkAloneInItsPoolHasItToItself) {
  add("chat", 1, 6, 2);
  Deployment& batch = add("batch", 0, 20, 9);
  batch.autoscale.batch_surplus = true;
  batch.pool = "gpu";
  run();
  EXPECT_EQ(scaler.replicas_of(deployments["batch"]), 9);
}

TEST_F(AutoscalerTest, AnotherTermForgetsEverything) {
  add("a", 1, 8, 3);
  run();
  scaler.begin_term();
  EXPECT_EQ(scaler.decision_of("a"), nullptr);
  EXPECT_EQ(scaler.replicas_of(deployments["a"]), 0) << "until it looks at what runs";
}

TEST(WeekMinute, IsTheWallClockOfItsZone) {
  const Wall saturday = wall_from_unix_micros(test::SimClock::kStartMicros);  // 2026-11-21T08:00Z
  EXPECT_EQ(week_minute_of("UTC", saturday), 5 * kMinutesPerDay + 8 * 60);
  EXPECT_EQ(week_minute_of("Asia/Shanghai", saturday), 5 * kMinutesPerDay + 16 * 60);
  EXPECT_EQ(week_minute_of("Asia/Shanghai", saturday + 32h), 0) << "Monday";
  EXPECT_EQ(week_minute_of("No/Where", saturday), 5 * kMinutesPerDay + 8 * 60);
}

}  // namespace
}  // namespace tidegate::scheduler
