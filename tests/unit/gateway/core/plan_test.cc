#include "gateway/core/plan.h"

#include <gtest/gtest.h>

#include <limits>

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

TEST(Plan, PromptBoundCoversTheSystemTextOfATemplate) {
  Plan plan;
  plan.messages = {{Role::kUser, "hi"}};
  EXPECT_GE(prompt_tokens_bound(plan), 30) << "what Qwen2.5 makes of it";
}

TEST(Plan, IdsAreCountedAsTheTokensThatTheyAre) {
  Plan plan;
  plan.embed = {{"abc"}, {"", {1, 2, 3, 4}}, {"", {5}}};
  EXPECT_EQ(prompt_ids(plan), 5);
  plan.embed = {{"abc"}};
  EXPECT_EQ(prompt_ids(plan), 0);
}

Plan valid_plan() {
  Plan plan;
  plan.model = "m";
  plan.messages = {{Role::kUser, "hi"}};
  return plan;
}

TEST(Plan, SharedBoundsNameTheirFieldInEachDialect) {
  EXPECT_TRUE(check_plan(valid_plan(), ""));
  Plan plan = valid_plan();
  plan.sampling.temperature = 2.5;
  EXPECT_EQ(check_plan(plan, "").error().field, "temperature");
  EXPECT_EQ(check_plan(plan, "sampling").error().field, "sampling.temperature");
  plan.sampling.temperature = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(check_plan(plan, ""));
}

TEST(Plan, MoreTextThanAFrameHoldsIsTooLarge) {
  Plan plan = valid_plan();
  plan.messages[0].content.assign(PlanLimits::kPromptBytesMax + 1, 'x');
  EXPECT_EQ(check_plan(plan, "").error().reason, "request_too_large");
  plan.messages[0].content.pop_back();
  EXPECT_TRUE(check_plan(plan, ""));
}

TEST(Plan, ARawPromptStandsForTheMessages) {
  Plan plan = valid_plan();
  plan.messages.clear();
  plan.raw = RawPrompt{.text = ""};
  EXPECT_TRUE(check_plan(plan, "")) << "an empty prompt is one";
  plan.raw->text.assign(PlanLimits::kPromptBytesMax - 1, 'x');
  plan.raw->suffix = "12";
  const Status refused = check_plan(plan, "");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "request_too_large");
  EXPECT_EQ(refused.error().field, "prompt");
  plan.raw->suffix = "1";
  EXPECT_TRUE(check_plan(plan, ""));
  EXPECT_GT(prompt_tokens_bound(plan), PlanLimits::kPromptBytesMax) << "every byte, and the control tokens around";
}

TEST(Plan, OnlyTheLastMessageOfTheAssistantBeginsTheAnswer) {
  Plan plan = valid_plan();
  plan.messages[0].begins_answer = true;
  EXPECT_EQ(check_plan(plan, "").error().field, "messages[0].prefix");
  plan.messages[0].role = Role::kAssistant;
  EXPECT_TRUE(check_plan(plan, ""));
  plan.messages.push_back({Role::kUser, "hi"});
  EXPECT_EQ(check_plan(plan, "").error().field, "messages[0].prefix");
}

TEST(Plan, ThinkingThatBeginsAnAnswerIsPartOfThePrompt) {
  Plan plan = valid_plan();
  plan.messages = {{Role::kAssistant, "x"}};
  const std::int64_t without = prompt_tokens_bound(plan);
  plan.messages[0].reasoning.assign(100, 'x');
  EXPECT_EQ(prompt_tokens_bound(plan), without + 100);
}

TEST(Plan, StopsAndMessagesAreBounded) {
  Plan plan = valid_plan();
  plan.sampling.stop.assign(17, "x");
  EXPECT_EQ(check_plan(plan, "").error().field, "stop");
  plan.sampling.stop = {""};
  EXPECT_EQ(check_plan(plan, "").error().field, "stop");
  plan = valid_plan();
  plan.messages.clear();
  EXPECT_EQ(check_plan(plan, "").error().field, "messages");
}

TEST(Plan, ADialectWithOtherNamesHasThemInItsErrors) {
  const PlanNames names{.messages = "input", .user = "metadata.user_id", .max_tokens = "limit", .stop = "stop_sequences"};
  Plan plan = valid_plan();
  EXPECT_TRUE(check_plan(plan, "", names));
  plan.sampling.stop = {""};
  EXPECT_EQ(check_plan(plan, "", names).error().field, "stop_sequences");
  plan = valid_plan();
  plan.sampling.max_tokens = -1;
  EXPECT_EQ(check_plan(plan, "", names).error().field, "limit");
  plan = valid_plan();
  plan.end_user.assign(PlanLimits::kEndUserBytesMax + 1, 'x');
  EXPECT_EQ(check_plan(plan, "", names).error().field, "metadata.user_id");
  plan = valid_plan();
  plan.messages[0].content.assign(PlanLimits::kPromptBytesMax + 1, 'x');
  EXPECT_EQ(check_plan(plan, "", names).error().field, "input");
  EXPECT_NE(check_plan(plan, "", names).error().message.find("'input'"), std::string::npos);
  plan.messages.clear();
  EXPECT_EQ(check_plan(plan, "", names).error().field, "input");
}

}  // namespace
}  // namespace tidegate::gateway
