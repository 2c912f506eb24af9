#include "scheduler/sim/sim_plan.h"

#include <gtest/gtest.h>

#include "base/json/json.h"
#include "scheduler/sim/sim_report.h"

namespace tidegate::scheduler {
namespace {

constexpr const char* kDeployments =
    R"({"deployments": [{"name": "chat", "accelerator": "h20", "accelerators": 8, "peak_per_s": 30,
  "autoscale": {"replicas_min": 1, "replicas_max": 20, "prompt_tokens_per_s": 8000, "windows": ["mon-fri 08:00-18:00 min=3"]}}]})";

TEST(SimPlan, TheInventoryOfATraceIsRead) {
  const auto nodes =
      parse_inventory("gpu_model,gpu_capacity_num,cpu_num,node_name\nGPU-series-1,4,192,0\nA100,8,128,n1\n");
  ASSERT_TRUE(nodes) << nodes.error().to_string();
  EXPECT_EQ((*nodes)[1].kind, "A100");
  EXPECT_EQ((*nodes)[1].accelerators, 8);
  EXPECT_EQ((*nodes)[1].name, "n1");
  EXPECT_EQ(parse_inventory("gpu_model,gpu_capacity_num,cpu_num,node_name\nA100,many,128,n1\n").error().field,
            "inventory:2");
  EXPECT_FALSE(parse_inventory("A100,8,128,n1\n"));
}

TEST(SimPlan, DeploymentsAreReadWithTheirPolicy) {
  const auto all = parse_sim_deployments(kDeployments);
  ASSERT_TRUE(all) << all.error().to_string();
  const SimDeployment& one = all->front();
  EXPECT_EQ(one.deployment.pool, "h20");
  EXPECT_EQ(one.accelerators, 8);
  EXPECT_TRUE(one.deployment.autoscale.is_on);
  EXPECT_EQ(one.deployment.autoscale.replicas_max, 20);
  EXPECT_EQ(one.deployment.autoscale.windows.at(0).start_minute, 8 * 60);
}

TEST(SimPlan, AMisspeltMemberIsNamed) {
  const auto bad =
      parse_sim_deployments(R"({"deployments": [{"name": "a", "accelerator": "h20", "peak_per_sec": 3}]})");
  EXPECT_EQ(bad.error().field, "deployments[0].peak_per_sec");
  const auto policy =
      parse_sim_deployments(R"({"deployments": [{"name": "a", "accelerator": "h20", "autoscale": {"max": 3}}]})");
  EXPECT_EQ(policy.error().field, "deployments[0].autoscale.max");
  EXPECT_FALSE(parse_sim_deployments(R"({"deployments": []})"));
}

TEST(SimReport, JsonAndChartHoldTheFigures) {
  SimFigures one;
  one.outcome.deployment = "chat";
  one.outcome.accelerator_hours = 75;
  one.outcome.counts.served = one.outcome.counts.arrivals = 100;
  one.outcome.counts.in_time = 99;
  one.outcome.replicas_by_quarter = {1, 2, 4, 2};
  one.outcome.arrivals_by_quarter = {1, 2, 4, 2};
  one.static_replicas = 4;
  one.static_hours = 100;
  const auto document = json::parse(sim_json({one}, {}));
  ASSERT_TRUE(document);
  const auto& entry = document->get_object().at("deployments").get_array().at(0).get_object();
  EXPECT_DOUBLE_EQ(*json::get_double(entry, "saved_percent"), 25);
  EXPECT_DOUBLE_EQ(*json::get_double(entry, "slo_share"), 0.99);
  const std::string chart = sim_chart({one});
  EXPECT_NE(chart.find("25.0 % saved"), std::string::npos) << chart;
  EXPECT_NE(chart.find('#'), std::string::npos);
}

}  // namespace
}  // namespace tidegate::scheduler
