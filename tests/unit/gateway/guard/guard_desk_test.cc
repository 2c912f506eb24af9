#include "gateway/guard/guard_desk.h"

#include <gtest/gtest.h>

#include <string>

#include "base/core/clock.h"
#include "base/core/metrics.h"
#include "gateway/adapters/pooled_guard.h"
#include "tests/support/gateway/fake_guard.h"
#include "tests/support/log_capture.h"
#include "tests/support/run_coro.h"
#include "tests/unit/gateway/guard/guard_world.h"

namespace tidegate::gateway::test {
namespace {

struct House {
  explicit House(GuardPolicy policy = {}) : desk(guard, policy, metrics, log, clock) {}
  std::optional<Refusal> check(Plan& plan) {
    const GuardSubject subject = subject_of();
    return tidegate::test::run_coro(desk.check_input(subject, plan));
  }
  double counted(const char* name, Labels labels) const { return registry.value(name, labels); }

  MemoryRegistry registry;
  GuardMetrics metrics{registry};
  tidegate::test::LogCapture log;
  SystemClock clock;
  FakeGuard guard;
  GuardDesk desk;
};

Plan plan_of(std::string content) {
  Plan plan;
  plan.model = "tang-moe";
  plan.messages.push_back({Role::kSystem, "be kind"});
  plan.messages.push_back({Role::kUser, std::move(content)});
  return plan;
}

TEST(GuardDesk, EveryTextOfAPlanIsShownAndMaskedInPlace) {
  House house;
  Plan plan = plan_of("my secret, my secret");
  PlanMessage begun{Role::kAssistant, "a secret"};
  begun.reasoning = "think";
  begun.begins_answer = true;
  plan.messages.push_back(begun);
  EXPECT_FALSE(house.check(plan));
  EXPECT_EQ(plan.messages[0].content, "be kind");
  EXPECT_EQ(plan.messages[1].content, "my [x], my [x]");
  EXPECT_EQ(plan.messages[2].content, "a [x]");
  EXPECT_EQ(plan.messages[2].reasoning, "think");
  EXPECT_EQ(house.guard.seen().at(0).roles, (std::vector<std::string>{"system", "user", "reasoning", "assistant"}));
  EXPECT_EQ(house.counted("tidegate_gateway_guard_checks_total", {{"direction", "input"}, {"verdict", "mask"}}), 1);

  Plan raw;
  raw.raw = RawPrompt{"secret", "secret too"};
  EXPECT_FALSE(house.check(raw));
  EXPECT_EQ(raw.raw->text, "[x]");
  EXPECT_EQ(*raw.raw->suffix, "[x] too");
}

TEST(GuardDesk, ToolsSchemasAndEarlierCallsAreTextsToo) {
  House house;
  Plan plan = plan_of("hello");
  plan.tools.push_back({"f", "tells a secret", R"({"type":"object"})", false});
  plan.response_format.schema = R"({"type":"string"})";
  PlanMessage caller{Role::kAssistant, ""};
  caller.tool_calls.push_back({"c0", "f", R"({"q":"secret"})"});
  PlanMessage told{Role::kTool, "the secret"};
  told.tool_call_id = "c0";
  plan.messages.push_back(caller);
  plan.messages.push_back(told);
  EXPECT_FALSE(house.check(plan));
  EXPECT_EQ(plan.tools[0].description, "tells a [x]");
  EXPECT_EQ(plan.messages[2].tool_calls[0].arguments, R"({"q":"[x]"})");
  EXPECT_EQ(plan.messages[3].content, "the [x]");
  EXPECT_EQ(house.guard.seen().at(0).roles,
            (std::vector<std::string>{"tools", "tools", "format", "system", "user", "call", "tool"}));
}

TEST(GuardDesk, EscapesInEarlierCallsHideNothing) {
  House house;
  Plan plan = plan_of("hello");
  PlanMessage caller{Role::kAssistant, ""};
  caller.tool_calls.push_back({"c0", "f", R"({"q":"\u0073ecret","r":"\n"})"});
  plan.messages.push_back(caller);
  EXPECT_FALSE(house.check(plan));
  EXPECT_EQ(plan.messages[2].tool_calls[0].arguments, R"({"q":"[x]","r":"\n"})");
}

TEST(GuardDesk, ADenialIsARefusalOfTheRequest) {
  House house;
  Plan plan = plan_of("forbidden");
  const auto refused = house.check(plan);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.code, Code::kInvalidArgument);
  EXPECT_EQ(refused->error.reason, "content_policy");
  EXPECT_EQ(refused->error.message, "no");
  EXPECT_EQ(refused->error.field, "messages");
  EXPECT_EQ(house.counted("tidegate_gateway_guard_checks_total", {{"direction", "input"}, {"verdict", "deny"}}), 1);
}

TEST(GuardDesk, MoreTextsThanAGuardReadsAreRefusedEvenWhereFailuresAreOpen) {
  GuardPolicy policy;
  policy.input = OnGuardFailure::kOpen;
  House house(policy);
  Plan plan = plan_of("hi");
  plan.messages.assign(GuardLimits::kTextsMax, {Role::kUser, "x"});
  EXPECT_FALSE(house.check(plan));
  plan.messages.push_back({Role::kUser, "x"});
  const auto refused = house.check(plan);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.reason, "request_too_large");
  EXPECT_EQ(house.guard.seen().size(), 1U) << "nobody was asked";
}

TEST(GuardDesk, AFailureClosesUnlessThePolicySaysOpen) {
  const Error away(Code::kUnavailable, "rpc_unavailable", "m");
  House closed;
  closed.guard.fail_next_check(away);
  Plan plan = plan_of("hi");
  const auto refused = closed.check(plan);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->error.code, Code::kUnavailable);
  EXPECT_EQ(refused->error.reason, "guard_unavailable");
  EXPECT_EQ(closed.counted("tidegate_gateway_guard_failures_total", {{"direction", "input"}}), 1);

  GuardPolicy policy;
  policy.input = OnGuardFailure::kOpen;
  House opened(policy);
  opened.guard.fail_next_check(away);
  EXPECT_FALSE(opened.check(plan));
  EXPECT_EQ(plan.messages[1].content, "hi");
  EXPECT_EQ(opened.counted("tidegate_gateway_guard_failures_total", {{"direction", "input"}}), 1);
  EXPECT_TRUE(opened.log.has("guard_failed"));
}

TEST(GuardDesk, AVerdictThatDoesNotFitIsAFailure) {
  House house;
  GuardVerdict verdict;
  verdict.decided = {1};
  house.guard.answer_next_check(verdict);
  Plan plan = plan_of("hi");
  EXPECT_EQ(house.check(plan)->error.reason, "guard_unavailable");
}

TEST(GuardDesk, TheLogNamesRulesAndNothingOfTheText) {
  MemoryRegistry registry;
  GuardMetrics metrics(registry);
  tidegate::test::LogCapture log;
  SystemClock clock;
  rpc::WorkPool pool(1, 8, "guard");
  PooledGuard guard(book_of({pii_rule("mail", "email", GuardAction::kMask), rule_of("moon", "moon", GuardAction::kLog),
                             rule_of("stop", "forbidden", GuardAction::kDeny)}),
                    pool);
  GuardDesk desk(guard, {}, metrics, log, clock);
  const GuardSubject subject = subject_of();
  Plan plan = plan_of("li.wei@example.com saw the moon; forbidden things");
  const auto refused = tidegate::test::run_coro(desk.check_input(subject, plan));
  ASSERT_TRUE(refused);
  EXPECT_NE(refused->error.message.find("stop"), std::string::npos) << "the rule is named where it says nothing itself";
  EXPECT_EQ(log.count("guard"), 3U);
  EXPECT_TRUE(log.mentions(R"("rule":"mail","direction":"input","action":"mask")"));
  for (const char* text : {"li.wei", "moon;", "forbidden", "things"}) EXPECT_FALSE(log.mentions(text)) << text;
}

/// A one-byte match becomes a name in brackets.
TEST(GuardDesk, MaskingDoesNotMakeAPromptOfAnySize) {
  MemoryRegistry registry;
  GuardMetrics metrics(registry);
  tidegate::test::LogCapture log;
  SystemClock clock;
  rpc::WorkPool pool(1, 8, "guard");
  PooledGuard guard(book_of({rule_of("a", "a", GuardAction::kMask)}), pool);
  GuardDesk desk(guard, {}, metrics, log, clock);
  const GuardSubject subject = subject_of();
  Plan plan = plan_of(std::string(20'000, 'a'));
  EXPECT_EQ(tidegate::test::run_coro(desk.check_input(subject, plan))->error.reason, "request_too_large");
  Plan smaller = plan_of(std::string(9'000, 'a'));
  EXPECT_FALSE(tidegate::test::run_coro(desk.check_input(subject, smaller)));
  EXPECT_EQ(smaller.messages[1].content.size(), 27'000U);
}

}  // namespace
}  // namespace tidegate::gateway::test
