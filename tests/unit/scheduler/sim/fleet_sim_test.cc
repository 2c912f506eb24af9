#include "scheduler/sim/fleet_sim.h"

#include <gtest/gtest.h>

#include "scheduler/sim/static_peak.h"

namespace tidegate::scheduler {
namespace {

/// Ten requests a second, all alike: 800 tokens in, 200 out.
std::vector<TraceRequest> even_trace() {
  std::vector<TraceRequest> trace;
  for (int i = 0; i < 1'000; ++i) trace.push_back({i * 0.1, 800, 200});
  return trace;
}

class FleetSimTest : public ::testing::Test {
 protected:
  FleetSimTest() {
    about.deployment.name = "chat";
    about.deployment.model = "chat";
    about.deployment.variant = "sim";
    about.deployment.pool = "h20";
    about.deployment.replicas = 4;
    about.deployment.autoscale.is_on = true;
    about.deployment.autoscale.replicas_max = 40;
    about.deployment.autoscale.prompt_tokens_per_s = 8'000;  // ten requests a second
    about.deployment.autoscale.target_utilisation_percent = 85;
    about.traffic.peak_per_s = 30;
    about.traffic.is_flat = true;
    about.traffic.noise = 0;
  }
  std::unique_ptr<FleetSim> open(SimSettings settings = {}) {
    SimPlan plan;
    for (int i = 0; i < nodes; ++i) plan.nodes.push_back({"node-" + std::to_string(i), "h20", 8});
    plan.deployments.push_back(about);
    auto sim = FleetSim::open(plan, trace, std::move(settings));
    EXPECT_TRUE(sim) << sim.error().to_string();
    return *std::move(sim);
  }
  static void until(FleetSim& sim, double second) {
    while (sim.now_s() < second) sim.step();
  }

  std::vector<TraceRequest> trace = even_trace();
  SimDeployment about;
  int nodes = 10;
};

TEST_F(FleetSimTest, AFlatLoadIsGivenWhatItNeeds) {
  const auto sim = open();
  until(*sim, 7'200);
  EXPECT_EQ(sim->wanted("chat"), 4);  // 3 replicas' worth at 85 %
  EXPECT_EQ(sim->ready("chat"), 4);
}

TEST_F(FleetSimTest, AStepIsFollowedWithoutOvershootWhileReplicasLoad) {
  about.traffic.step_at_s = 3'600;
  about.traffic.step_factor = 3;
  const auto sim = open();
  until(*sim, 3'600);
  const std::int32_t before = sim->ready("chat");
  std::int32_t most = 0;
  while (sim->ready("chat") <= before + 1 && sim->now_s() < 4'200) {
    sim->step();
    most = std::max(most, sim->wanted("chat"));
  }
  EXPECT_LE(most, 11) << "9 replicas' worth of load at 85 % is 10.6";
  until(*sim, 10'800);
  EXPECT_GE(sim->wanted("chat"), 10);
  EXPECT_LE(sim->wanted("chat"), 12);
}

TEST_F(FleetSimTest, AChangeOfLeaderChangesNothingThatRuns) {
  const auto sim = open();
  until(*sim, 7'200);
  const std::int32_t before = sim->wanted("chat");
  sim->change_leader();
  for (int i = 0; i < 360; ++i) {
    sim->step();
    EXPECT_NEAR(sim->wanted("chat"), before, 0) << sim->now_s();
    EXPECT_EQ(sim->ready("chat"), before);
  }
}

TEST_F(FleetSimTest, WhenGatewaysFallSilentTheFleetStaysUp) {
  const auto sim = open();
  until(*sim, 7'200);
  const std::int32_t before = sim->wanted("chat");
  sim->silence_gateways(true);
  until(*sim, 14'400);
  EXPECT_GE(sim->ready("chat"), before - 1);
  sim->silence_gateways(false);
  until(*sim, 18'000);
  EXPECT_EQ(sim->wanted("chat"), before);
}

TEST_F(FleetSimTest, ADeploymentNobodyCallsSleepsAndAHeldRequestWakesIt) {
  about.deployment.autoscale.replicas_min = 0;
  about.deployment.replicas = 1;
  about.traffic.peak_per_s = 0.0002;  // one in an hour and more
  const auto sim = open();
  bool slept = false;
  while (sim->now_s() < 200'000 && !(slept && sim->ready("chat") > 0)) {
    sim->step();
    slept = slept || (sim->now_s() > 1'000 && sim->wanted("chat") == 0);
  }
  EXPECT_TRUE(slept);
  EXPECT_GT(sim->ready("chat"), 0);
}

TEST_F(FleetSimTest, NodesThatAreFullHoldNoMoreReplicas) {
  nodes = 1;
  about.accelerators = 4;
  const auto sim = open();
  until(*sim, 3'600);
  EXPECT_EQ(sim->ready("chat"), 2);
  EXPECT_NE(sim->fleet().status_of("chat").message.find("no node"), std::string::npos);
}

TEST_F(FleetSimTest, ADayCostsLessThanItsPeakAndKeepsItsTarget) {
  about.traffic.is_flat = false;
  about.traffic.noise = 0.05;
  about.traffic.peak_per_s = 60;
  SimSettings settings;
  const auto day = open(settings)->run().front();
  SimPlan plan;
  for (int i = 0; i < nodes; ++i) plan.nodes.push_back({"node-" + std::to_string(i), "h20", 8});
  plan.deployments.push_back(about);
  const std::int32_t peak = static_peak(plan, trace, settings, "chat", 0.99);
  EXPECT_LE(day.accelerator_hours, 0.75 * 24 * peak) << peak;
  EXPECT_GE(day.slo_share(), 0.99);
  EXPECT_LE(day.reversals_per_hour_max, 2);
}

TEST_F(FleetSimTest, TheSameSeedPlaysTheSameDay) {
  SimSettings settings;
  settings.warm_days = 0;
  settings.days = 0.1;
  about.traffic.noise = 0.05;
  const auto first = open(settings)->run().front();
  const auto second = open(settings)->run().front();
  EXPECT_EQ(first.counts.arrivals, second.counts.arrivals);
  EXPECT_EQ(first.counts.in_time, second.counts.in_time);
  EXPECT_EQ(first.accelerator_hours, second.accelerator_hours);
  settings.seed = 2;
  EXPECT_NE(open(settings)->run().front().counts.ttft_sum_s, first.counts.ttft_sum_s);
}

}  // namespace
}  // namespace tidegate::scheduler
