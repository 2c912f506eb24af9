#include "gateway/dispatch/answer_check.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/support/gateway/fake_dispatcher.h"

namespace tidegate::gateway::test {
namespace {

constexpr const char* kCity =
    R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false})";

struct AnswerCheckTest : testing::Test {
  void ask_for_object() { plan.response_format.kind = FormatKind::kJsonObject; }
  void ask_for_city() { plan.response_format = {FormatKind::kJsonSchema, "city", kCity, true}; }
  void offer(const std::string& name, bool is_strict) { plan.tools.push_back({name, "", kCity, is_strict}); }

  void begin() {
    check = AnswerCheck::of(plan, metrics);
    ASSERT_NE(check, nullptr);
  }
  /// The rule that an answer of this content breaks at its end; "" when it is let through.
  std::string end(std::string content, SequenceEnd how = SequenceEnd::kStop) {
    return rule_of(end_delta(how, {}, std::move(content)));
  }
  std::string end_calls(ToolCallDeltas calls) {
    SequenceDelta delta = end_delta(SequenceEnd::kToolCalls, {});
    delta.tool_calls = std::move(calls);
    return rule_of(delta);
  }
  std::string rule_of(const SequenceDelta& delta) {
    const Status held = check->take(delta);
    return held ? "" : held.error().reason;
  }
  double verdicts(const char* verdict) const {
    return registry.value("tidegate_gateway_answer_checks_total", {{"verdict", verdict}});
  }

  MemoryRegistry registry;
  GatewayMetrics metrics{registry};
  Plan plan;
  std::unique_ptr<AnswerCheck> check;
};

TEST_F(AnswerCheckTest, ARequestThatIsPromisedNothingHasNone) {
  EXPECT_EQ(AnswerCheck::of(plan, metrics), nullptr);
  plan.response_format = {FormatKind::kJsonSchema, "city", kCity, false};
  EXPECT_EQ(AnswerCheck::of(plan, metrics), nullptr) << "a schema that is not strict is a wish";
  offer("f", false);
  EXPECT_EQ(AnswerCheck::of(plan, metrics), nullptr);
  ask_for_city();
  EXPECT_NE(AnswerCheck::of(plan, metrics), nullptr);
  plan.sampling.stop = {"}"};
  EXPECT_EQ(AnswerCheck::of(plan, metrics), nullptr) << "the answer may end where its client said";
}

TEST_F(AnswerCheckTest, AnObjectIsAnyObjectAndNothingElse) {
  ask_for_object();
  begin();
  EXPECT_EQ(end(R"( {"a":[1]} )"), "");
  EXPECT_EQ(end("[1]"), "type");
  EXPECT_EQ(end("Sure! {}"), "json");
  EXPECT_EQ(end(""), "json");
  EXPECT_EQ(verdicts("held"), 1);
  EXPECT_EQ(verdicts("broken"), 3);
}

TEST_F(AnswerCheckTest, AStrictSchemaIsHeldAgainstTheWholeAnswer) {
  ask_for_city();
  begin();
  EXPECT_TRUE(check->take(text_delta("{thinking}", R"({"ci)", {})));
  EXPECT_EQ(end(R"(ty":"Oslo"})"), "");
  EXPECT_EQ(end(R"({"town":"Oslo"})"), "required");
}

TEST_F(AnswerCheckTest, OnlyWhatItsWorkerEndedWellIsRead) {
  ask_for_city();
  begin();
  for (const auto how : {SequenceEnd::kLength, SequenceEnd::kCancelled, SequenceEnd::kError, SequenceEnd::kFiltered}) {
    EXPECT_EQ(end("{", how), "") << end_name(how);
  }
  EXPECT_EQ(verdicts("held") + verdicts("broken") + verdicts("unchecked"), 0);
}

TEST_F(AnswerCheckTest, ArgumentsOfAStrictToolFollowItsSchemaInWhateverPiecesTheyCome) {
  offer("strict", true);
  offer("loose", false);
  begin();
  SequenceDelta first = text_delta("", "", {});
  first.tool_calls = {{0, "c1", "loose", "not"}, {0, "", "", " json"}, {1, "c2", "strict", R"({"ci)"}};
  EXPECT_TRUE(check->take(first));
  EXPECT_EQ(end_calls({{1, "", "", R"(ty":"Oslo"})"}}), "");
  EXPECT_EQ(end_calls({{0, "c1", "strict", R"({"city":"Oslo"})"}, {1, "c2", "strict", R"({"city":1})"}}), "type");
  EXPECT_EQ(end_calls({{0, "c1", "strict", ""}}), "required") << "nothing is an object of nothing";
  EXPECT_EQ(end("no call at all"), "") << "nobody asked for one";
}

TEST_F(AnswerCheckTest, WhereACallWasAskedForOneIsMadeOfWhatMayBeCalled) {
  offer("f", false);
  offer("g", false);
  plan.tool_choice.mode = ToolMode::kRequired;
  begin();
  EXPECT_EQ(end_calls({{0, "c", "g", "{}"}}), "");
  EXPECT_EQ(end_calls({{0, "c", "h", "{}"}}), "tool_choice");
  EXPECT_EQ(end("I would call f."), "tool_choice");
  plan.tool_choice = {ToolMode::kFunction, "f"};
  begin();
  EXPECT_EQ(end_calls({{0, "c", "f", "{}"}}), "");
  EXPECT_EQ(end_calls({{0, "c", "g", "{}"}}), "tool_choice");
}

TEST_F(AnswerCheckTest, BesideACallTheContentIsFree) {
  ask_for_city();
  offer("f", false);
  begin();
  SequenceDelta delta = end_delta(SequenceEnd::kToolCalls, {}, "Let me look.");
  delta.tool_calls = {{0, "c", "f", "{}"}};
  EXPECT_EQ(rule_of(delta), "");
}

TEST_F(AnswerCheckTest, SeveralAnswersAreReadApart) {
  ask_for_object();
  plan.sampling.n = 2;
  begin();
  const auto say = [&](std::int32_t choice, std::string content, std::optional<SequenceEnd> how) {
    SequenceDelta delta = text_delta("", std::move(content), {});
    delta.choice = choice;
    delta.choice_end = how;
    return rule_of(delta);
  };
  EXPECT_EQ(say(0, "{", std::nullopt), "");
  EXPECT_EQ(say(1, "{}", SequenceEnd::kStop), "");
  EXPECT_EQ(say(0, "]", SequenceEnd::kStop), "json");
  EXPECT_EQ(say(2, "", SequenceEnd::kStop), "") << "none of the request's: somebody else says so";
}

TEST_F(AnswerCheckTest, AnAnswerThatIsTooLongIsNotCheckedAndCounted) {
  ask_for_object();
  begin();
  const std::string half(static_cast<std::size_t>(AnswerCheck::kKeptBytesMax / 2), 'x');
  EXPECT_TRUE(check->take(text_delta("", half, {})));
  EXPECT_TRUE(check->take(text_delta("", half, {})));
  EXPECT_EQ(end("x"), "");
  EXPECT_EQ(verdicts("unchecked"), 1);
  EXPECT_EQ(verdicts("broken"), 0);
}

TEST_F(AnswerCheckTest, WhatALostWorkerSaidIsForgotten) {
  ask_for_object();
  begin();
  EXPECT_TRUE(check->take(text_delta("", "no json", {})));
  check->reset();
  EXPECT_EQ(end("{}"), "");
}

TEST_F(AnswerCheckTest, TheClientIsToldThePlaceAndToTryAgain) {
  ask_for_city();
  begin();
  const Status broken = check->take(end_delta(SequenceEnd::kStop, {}, R"({"city":5})"));
  ASSERT_FALSE(broken);
  const Error told = answer_breaks_format(broken.error());
  EXPECT_EQ(told.code, Code::kUnavailable);
  EXPECT_EQ(told.reason, "answer_breaks_format");
  EXPECT_EQ(
      told.message,
      "The model's answer is not what was asked for: 'answer.city' is not of type string. Send the request again.");
  EXPECT_EQ(told.field, "") << "no field of the request is wrong";
}

}  // namespace
}  // namespace tidegate::gateway::test
