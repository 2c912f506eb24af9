// The simulator's calls and formats, and what a real engine says to tools that its model has no tokens for.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "base/json/json.h"
#include "tests/support/sim_clock.h"
#include "tests/unit/worker/engine/engine_harness.h"
#include "worker/engine/sim_engine.h"
#include "worker/engine/sim_json.h"

namespace tidegate::worker::sim_tools_test {
namespace {

const std::string kSchema =
    R"({"type":"object","properties":{"city":{"type":"string","minLength":5,"maxLength":9},)"
    R"("days":{"type":"integer","minimum":2,"maximum":3},"unit":{"enum":["c","f"]},)"
    R"("tags":{"type":"array","items":{"type":"string"},"minItems":2},"on":{"type":["string","null"],"format":"date"}},)"
    R"("required":["city","days","unit","tags","on"],"additionalProperties":false})";

struct Said {
  std::string reasoning;
  std::string content;
  ToolCallDeltas calls;
  SequenceUsage usage;
  std::optional<FinishReason> finish;
};

Said run(GenerateRequest request) {
  test::SimClock clock;
  SimEngine engine({.step_interval = std::chrono::milliseconds(1), .reasoning_tokens = 3, .content_tokens = 4}, clock);
  EXPECT_TRUE(engine.submit(std::move(request)));
  Said said;
  for (int step = 0; !engine.idle() && step < 5'000; ++step) {
    clock.advance(std::chrono::milliseconds(1));
    for (SequenceEvent& event : engine.step()) {
      said.reasoning += event.reasoning;
      said.content += event.content;
      append_calls(said.calls, std::move(event.tool_calls));
      said.usage = event.usage;
      said.finish = event.finish;
    }
  }
  return said;
}

GenerateRequest asking(ToolChoice::Mode mode, std::string name = "") {
  GenerateRequest request = user_request(1, "hello");
  request.sampling.seed = 5;
  request.offer.tools = {{"other", "", "", false}, {"get_weather", "Weather.", kSchema, false}};
  request.offer.choice = {mode, std::move(name)};
  return request;
}

TEST(SimTools, ACallThatIsDemandedIsMadeWithArgumentsOfItsSchema) {
  const Said said = run(asking(ToolChoice::Mode::kFunction, "get_weather"));
  EXPECT_EQ(said.finish, FinishReason::kToolCalls);
  EXPECT_EQ(said.content, "");
  EXPECT_FALSE(said.reasoning.empty());
  ASSERT_EQ(said.calls.size(), 1U);
  EXPECT_EQ(said.calls[0].name, "get_weather");
  EXPECT_EQ(said.calls[0].id, "call_00_000000000000000000000000");
  const auto arguments = json::parse(said.calls[0].arguments);
  ASSERT_TRUE(arguments) << said.calls[0].arguments;
  EXPECT_EQ(arguments->as_object().size(), 5U);
  EXPECT_EQ(arguments->at("days"), 2);
  EXPECT_EQ(arguments->at("on"), "2026-01-01");
  EXPECT_EQ(arguments->at("tags").as_array().size(), 2U);
  EXPECT_EQ(said.usage.reasoning_tokens, 3);
  EXPECT_GT(said.usage.completion_tokens, 10) << "every piece and mark is a token";
  const Said again = run(asking(ToolChoice::Mode::kFunction, "get_weather"));
  EXPECT_EQ(again.calls, said.calls) << "the same seed";
}

TEST(SimTools, RequiredCallsSomeTool) {
  const Said said = run(asking(ToolChoice::Mode::kRequired));
  ASSERT_EQ(said.calls.size(), 1U);
  EXPECT_EQ(said.finish, FinishReason::kToolCalls);
}

TEST(SimTools, AFreeChoiceIsAnsweredInWords) {
  for (const auto mode : {ToolChoice::Mode::kAuto, ToolChoice::Mode::kNone}) {
    const Said said = run(asking(mode));
    EXPECT_TRUE(said.calls.empty());
    EXPECT_EQ(said.finish, FinishReason::kStop);
    EXPECT_EQ(std::count(said.content.begin(), said.content.end(), ' '), 3);
  }
}

TEST(SimTools, ACallThatIsCutByItsLimitEndsWithLength) {
  GenerateRequest request = asking(ToolChoice::Mode::kFunction, "get_weather");
  request.sampling.max_tokens = 12;
  const Said said = run(std::move(request));
  EXPECT_EQ(said.finish, FinishReason::kLength) << "length wins";
  EXPECT_EQ(said.usage.completion_tokens, 12);
}

TEST(SimTools, AFormatIsKept) {
  GenerateRequest request = user_request(1, "json please");
  request.offer.format.kind = ResponseFormat::Kind::kJsonSchema;
  request.offer.format.schema = kSchema;
  const Said said = run(request);
  EXPECT_EQ(said.finish, FinishReason::kStop);
  const auto content = json::parse(said.content);
  ASSERT_TRUE(content) << said.content;
  EXPECT_EQ(content->at("days"), 2);
  request.offer.format = {ResponseFormat::Kind::kJsonObject, "", false};
  EXPECT_TRUE(json::parse(run(request).content)->is_object());
}

TEST(SimJson, AnySchemaGivesBoundedJson) {
  for (const char* schema :
       {"{}", R"({"$ref":"#"})", R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})",
        R"({"type":"array","items":{"$ref":"#"},"minItems":1000})", R"({"type":"string","minLength":100000})",
        R"({"anyOf":[{"type":"boolean"},{"type":"null"}]})", R"({"const":{"a":[1]}})", R"({"type":"number","maximum":-5})",
        R"({"type":"object","properties":5,"required":7})", ""}) {
    const std::string text = sim_json(schema, 1);
    EXPECT_LT(text.size(), 16'384U) << schema;
    EXPECT_EQ(text, sim_json(schema, 1));
    if (std::string(schema) != R"({"$ref":"#"})") {
      EXPECT_TRUE(json::parse(text)) << schema << ' ' << text;
    }
  }
}

TEST(SimJson, PiecesAreWholeCharactersAndTogetherTheText) {
  std::string joined;
  for (const std::string& piece : sim_pieces("a月潮门\U0001f30a!")) {
    EXPECT_TRUE(is_valid_utf8(piece));
    joined += piece;
  }
  EXPECT_EQ(joined, "a月潮门\U0001f30a!");
}

TEST(EngineCoreTools, AModelWithoutTokensForCallsRefusesToolsAndResults) {
  EngineHarness h(roomy());
  const Status tools = h.engine->submit(asking(ToolChoice::Mode::kAuto));
  ASSERT_FALSE(tools);
  EXPECT_EQ(tools.error().field, "tools");
  GenerateRequest request = user_request(1, "x");
  request.messages.push_back({Role::kTool, "42"});
  EXPECT_EQ(h.engine->submit(request).error().field, "messages");
  EXPECT_TRUE(h.engine->submit(asking(ToolChoice::Mode::kNone))) << "nothing of the tools is used";
}

}  // namespace
}  // namespace tidegate::worker::sim_tools_test
