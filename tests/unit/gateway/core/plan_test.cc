#include "gateway/core/plan.h"

#include <gtest/gtest.h>

namespace tidegate::gateway {
namespace {

TEST(Plan, DeveloperIsASystemMessage) {
  EXPECT_EQ(parse_role("developer"), Role::kSystem);
  EXPECT_EQ(parse_role("system"), Role::kSystem);
  EXPECT_EQ(parse_role("tool"), std::nullopt);
  EXPECT_EQ(parse_role("User"), std::nullopt);
}

TEST(Plan, PromptBoundCoversEveryByteAndTheTemplate) {
  Plan plan;
  plan.messages = {{Role::kSystem, "abc"}, {Role::kUser, std::string(1'000, 'x')}};
  EXPECT_GT(prompt_tokens_bound(plan), 1'003);
  EXPECT_LT(prompt_tokens_bound(plan), 1'100);
}

}  // namespace
}  // namespace tidegate::gateway
