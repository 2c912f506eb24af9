#include "scheduler/catalogue/autoscale_json.h"

#include <gtest/gtest.h>

namespace tidegate::scheduler {
namespace {

TEST(AutoscaleJson, WhatIsWrittenIsReadBackWhole) {
  AutoscalePolicy policy;
  policy.is_on = true;
  policy.replicas_min = 0;
  policy.replicas_max = 12;
  policy.target_utilisation_percent = 66;
  policy.queue_wait_ms = 250;
  policy.down_after_s = 400;
  policy.idle_s = 1'200;
  policy.time_to_ready_s = 90;
  policy.prompt_tokens_per_s = 12'345;
  policy.price_micros_per_hour = 3'500'000;
  policy.budget_micros_per_hour = 50'000'000;
  policy.batch_surplus = true;
  policy.zone = "Asia/Shanghai";
  policy.windows = {*parse_autoscale_window("mon-fri 08:30-20:00 min=6"),
                    *parse_autoscale_window("sat 22:00-06:00 min=2")};
  const auto back = parse_autoscale(write_autoscale(policy));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, policy);
}

TEST(AutoscaleJson, AnEmptyObjectIsOff) {
  EXPECT_EQ(write_autoscale({}), "{}");
  EXPECT_FALSE(parse_autoscale("{}")->is_on);
  EXPECT_FALSE(parse_autoscale("[]"));
}

TEST(AutoscaleJson, AMemberNobodyKnowsIsNamed) {
  EXPECT_EQ(parse_autoscale(R"({"replicas_mx": 2})").error().field, "autoscale.replicas_mx");
  EXPECT_EQ(parse_autoscale(R"({"replicas_max": 3000000000})").error().field, "autoscale.replicas_max");
}

}  // namespace
}  // namespace tidegate::scheduler
