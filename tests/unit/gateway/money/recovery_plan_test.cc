#include "gateway/core/recovery_plan.h"

#include <gtest/gtest.h>

#include "tests/support/sequential_ids.h"

namespace tidegate::gateway {
namespace {

RequestId request(std::uint64_t n) { return RequestId{tidegate::test::SequentialIds::make(n)}; }

TEST(RecoveryPlan, AFinishedRequestOwesNothing) {
  RecoveryPlan plan;
  plan.on_admit(request(1), "a");
  plan.on_progress(request(1), "p");
  plan.on_final(request(1));
  EXPECT_TRUE(plan.interrupted().empty());
  EXPECT_EQ(plan.void_count(), 0u);
}

TEST(RecoveryPlan, ACutStreamIsSettledAtItsLastProgress) {
  RecoveryPlan plan;
  plan.on_admit(request(1), "a");
  plan.on_progress(request(1), "p1");
  plan.on_progress(request(1), "p2");
  ASSERT_EQ(plan.interrupted().size(), 1u);
  EXPECT_EQ(plan.interrupted()[0].admit, "a");
  EXPECT_EQ(plan.interrupted()[0].progress, "p2");
}

TEST(RecoveryPlan, WithoutProgressARequestIsVoid) {
  RecoveryPlan plan;
  plan.on_admit(request(1), "a");
  EXPECT_TRUE(plan.interrupted().empty());
  EXPECT_EQ(plan.void_count(), 1u);
}

TEST(RecoveryPlan, KeepsTheOrderOfAdmission) {
  RecoveryPlan plan;
  for (std::uint64_t n : {5, 3, 9, 1}) {
    plan.on_admit(request(n), std::to_string(n));
    plan.on_progress(request(n), "p");
  }
  std::string order;
  for (const auto& cut : plan.interrupted()) order += cut.admit;
  EXPECT_EQ(order, "5391");
}

TEST(RecoveryPlan, ProgressOfAnUnknownRequestIsIgnored) {
  RecoveryPlan plan;
  plan.on_progress(request(1), "p");
  EXPECT_TRUE(plan.interrupted().empty());
}

}  // namespace
}  // namespace tidegate::gateway
