#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/core/encoding.h"
#include "gateway/core/plan.h"
#include "gateway/core/plan_tools.h"
#include "gateway/core/tool_call.h"
#include "gateway/core/tool_turns.h"

namespace tidegate::gateway {
namespace {

Plan plan_with(std::vector<PlanMessage> messages) {
  Plan plan;
  plan.model = "m";
  plan.messages = std::move(messages);
  return plan;
}
PlanMessage calls(std::vector<std::string> ids) {
  PlanMessage message{Role::kAssistant, ""};
  for (std::string& id : ids) message.tool_calls.push_back({std::move(id), "f", "{}"});
  return message;
}
PlanMessage result(std::string id) {
  PlanMessage message{Role::kTool, "42"};
  message.tool_call_id = std::move(id);
  return message;
}
const PlanMessage kAsk{Role::kUser, "hi"};

std::string why(const Plan& plan) {
  const Status status = check_plan(plan, "");
  return status ? "" : status.error().message;
}

TEST(ToolTurns, EveryCallIsAnsweredOnceInAnyOrder) {
  EXPECT_EQ(why(plan_with({kAsk, calls({"a", "b"}), result("b"), result("a"), kAsk})), "");
  EXPECT_EQ(why(plan_with({kAsk, calls({"a"}), result("a"), calls({"a"}), result("a")})), "")
      << "an id may come again once it is answered";
}

TEST(ToolTurns, RefusalsNameTheCall) {
  EXPECT_NE(why(plan_with({kAsk, result("a")})).find("'a'"), std::string::npos);
  EXPECT_NE(why(plan_with({kAsk, calls({"a"}), result("a"), result("a")})).find("answered already"), std::string::npos);
  EXPECT_NE(why(plan_with({kAsk, calls({"a", "b"}), result("a"), kAsk})).find("'b' without an answer"), std::string::npos);
  EXPECT_NE(why(plan_with({kAsk, calls({"a"})})).find("'a' without an answer"), std::string::npos);
  EXPECT_NE(why(plan_with({kAsk, calls({"a", "a"}), result("a")})).find("two calls 'a'"), std::string::npos);
  EXPECT_NE(why(plan_with({kAsk, calls({""})})), "");
  EXPECT_EQ(check_plan(plan_with({kAsk, result("a")}), "", {.messages = "input"}).error().field, "input");
}

TEST(ToolTurns, RefusalsQuoteWholeCharacters) {
  std::string name;
  for (int i = 0; i < 40; ++i) name += "\xe6\xb5\xb7";
  const std::string stray = why(plan_with({kAsk, result(name)}));
  EXPECT_NE(stray.find("\xe6\xb5\xb7'"), std::string::npos) << stray;
  EXPECT_TRUE(is_valid_utf8(stray));
  Plan plan = plan_with({kAsk});
  plan.tools.push_back({.name = "f", .description = "", .parameters = "", .strict = false});
  plan.tool_choice = {ToolMode::kFunction, name};
  EXPECT_NE(why(plan).find("which is none of"), std::string::npos);
  EXPECT_TRUE(is_valid_utf8(why(plan)));
}

TEST(ToolTurns, OnlyAssistantsCall) {
  PlanMessage asking = calls({"a"});
  asking.role = Role::kUser;
  EXPECT_NE(why(plan_with({asking, result("a")})).find("not the assistant's"), std::string::npos);
  PlanMessage begun = calls({"a"});
  begun.begins_answer = true;
  EXPECT_NE(why(plan_with({kAsk, begun})).find("begins the answer"), std::string::npos);
}

TEST(PlanTools, NamesAreBoundedAndUnique) {
  for (const char* bad : {"", "a b", "é", "a.b"}) EXPECT_FALSE(is_tool_name(bad)) << bad;
  EXPECT_TRUE(is_tool_name(std::string(64, 'a')));
  EXPECT_FALSE(is_tool_name(std::string(65, 'a')));
  Plan plan = plan_with({kAsk});
  plan.tools = {{"f", "", "", false}, {"f", "", "", false}};
  EXPECT_EQ(check_plan(plan, "").error().field, "tools[1].name");
  const PlanNames names{.tools = {.member = ".function"}};
  EXPECT_EQ(check_plan(plan, "", names).error().field, "tools[1].function.name");
}

TEST(PlanTools, SizesAreBounded) {
  Plan plan = plan_with({kAsk});
  plan.tools.assign(129, {"f", "", "", false});
  EXPECT_EQ(check_plan(plan, "").error().field, "tools");
  const std::string large(static_cast<std::size_t>(ToolLimits::kSchemaBytesMax) + 1, 'x');
  plan.tools = {{"f", "", large, false}};
  EXPECT_EQ(check_plan(plan, "").error().field, "tools[0].parameters");
  plan.tools = {{"f", large, "", false}};
  EXPECT_EQ(check_plan(plan, "").error().field, "tools[0].description");
  plan.tools.clear();
  for (int i = 0; i < 17; ++i) plan.tools.push_back({"f" + std::to_string(i), large.substr(1), "", false});
  EXPECT_EQ(check_plan(plan, "").error().reason, "request_too_large");
}

TEST(PlanTools, AChoiceIsOneOfTheTools) {
  Plan plan = plan_with({kAsk});
  plan.tool_choice.mode = ToolMode::kRequired;
  EXPECT_EQ(check_plan(plan, "").error().field, "tool_choice") << "there are none";
  plan.tools = {{"f", "", "", false}};
  EXPECT_TRUE(check_plan(plan, ""));
  plan.tool_choice = {ToolMode::kFunction, "g"};
  EXPECT_EQ(check_plan(plan, "").error().field, "tool_choice");
  plan.tool_choice.name = "f";
  EXPECT_TRUE(check_plan(plan, ""));
  plan.response_format.kind = FormatKind::kJsonObject;
  EXPECT_EQ(check_plan(plan, "").error().field, "response_format") << "a forced call has no content to format";
  plan.tool_choice = {};
  EXPECT_TRUE(check_plan(plan, ""));
}

TEST(PlanTools, WhatBeginsAnAnswerLeavesNothingToForce) {
  Plan plan = plan_with({kAsk, {Role::kAssistant, "Well"}});
  plan.messages[1].begins_answer = true;
  plan.tools = {{"f", "", "", false}};
  EXPECT_TRUE(check_plan(plan, ""));
  plan.tool_choice.mode = ToolMode::kRequired;
  EXPECT_EQ(check_plan(plan, "").error().field, "tool_choice");
  plan.tool_choice = {};
  plan.response_format.kind = FormatKind::kJsonObject;
  EXPECT_EQ(check_plan(plan, "").error().field, "response_format");
}

TEST(PlanTools, TheHoldCoversToolsCallsAndTheirTemplate) {
  Plan plan = plan_with({kAsk, calls({"a"}), result("a")});
  const std::int64_t without = prompt_tokens_bound(plan);
  plan.tools = {{"f", std::string(100, 'x'), std::string(100, 'x'), false}};
  EXPECT_GT(prompt_tokens_bound(plan), without + 300);
  const std::int64_t before = prompt_tokens_bound(plan);
  plan.messages[1].tool_calls[0].arguments.assign(1'000, 'x');
  EXPECT_GT(prompt_tokens_bound(plan), before + 990);
}

TEST(PlanTools, TheHoldCoversWhatTemplatesWriteAsJson) {
  Plan plan = plan_with({kAsk, calls({"a"}), result("a")});
  std::string& arguments = plan.messages[1].tool_calls[0].arguments;
  arguments.assign(1'000, '\n');  // no JSON: written as a text, two bytes each
  EXPECT_GE(prompt_tokens_bound(plan), 2'000);
  arguments.assign(1'000, '\x01');
  EXPECT_GE(prompt_tokens_bound(plan), 6'000) << "\\u0001";
  arguments = "[";
  for (int i = 0; i < 1'000; ++i) arguments += "1e15,";
  arguments += "1]";
  EXPECT_GE(prompt_tokens_bound(plan), 20'000) << "1000000000000000.0 and a comma with its blank";
  arguments = "{}";
  plan.tools = {{"f", std::string(1'000, '\x01'), "", false}};
  EXPECT_GE(prompt_tokens_bound(plan), 6'000);
}

TEST(ToolCalls, PiecesOfOneCallBecomeOne) {
  ToolCallDeltas into = {{0, "a", "f", "{"}};
  append_calls(into, {{0, "", "", "}"}, {1, "b", "g", ""}});
  append_calls(into, {{1, "", "", "{}"}});
  EXPECT_EQ(into, (ToolCallDeltas{{0, "a", "f", "{}"}, {1, "b", "g", "{}"}}));
  EXPECT_TRUE(into[0].is_first());
  EXPECT_FALSE((ToolCallDelta{1, "", "", "x"}.is_first()));
}

}  // namespace
}  // namespace tidegate::gateway
