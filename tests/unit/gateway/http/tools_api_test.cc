// Calls from a worker's events to a client's bytes, over a real socket.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/json/json.h"
#include "tests/unit/gateway/http/api_harness.h"
#include "tests/unit/gateway/http/stream_client.h"

namespace tidegate::gateway::test {
namespace {

const std::string kTools = R"(,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}])";

SequenceDelta call_delta(ToolCallDeltas calls, TokenUsage usage) {
  SequenceDelta delta;
  delta.tool_calls = std::move(calls);
  delta.usage = usage;
  return delta;
}

TEST(ToolsApi, AWholeAnswerCollectsItsCallsAndIsBilledAsTheWorkerCounted) {
  ApiHarness api;
  auto answer = api.post_chat(chat_body(false, kTools));
  const auto request = api.submitted();
  ASSERT_EQ(request.plan.tools.size(), 1U);
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, call_delta({{0, "c", "f", ""}}, {.prompt = 10, .completion = 1}));
  api.tell(0, call_delta({{0, "", "", "{\"a\":"}}, {.prompt = 10, .completion = 2}));
  SequenceDelta last = end_delta(SequenceEnd::kToolCalls, {.prompt = 10, .completion = 4});
  last.tool_calls = {{0, "", "", "1}"}};
  api.tell(0, std::move(last));
  const auto response = answer.get();
  ASSERT_EQ(response.status, 200) << response.body;
  const auto parsed = json::parse(response.body);
  ASSERT_TRUE(parsed);
  const json::value& choice = parsed->at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "tool_calls");
  EXPECT_EQ(choice.at("message").at("tool_calls").at(0).at("function").at("arguments"), "{\"a\":1}");
  ASSERT_EQ(api.meter.entry(0).settled.size(), 1U);
  EXPECT_EQ(api.meter.entry(0).settled.at(0).finish_reason, "tool_calls");
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage, (TokenUsage{.prompt = 10, .completion = 4}));
  ASSERT_TRUE(eventually([&] { return api.log.has("request"); }));
  EXPECT_FALSE(api.log.mentions("{\"a\"")) << "arguments are content";
}

TEST(ToolsApi, AStreamHandsCallsOnAsTheyComeAndChargesThem) {
  ApiHarness api;
  StreamClient client(api, chat_body(true, kTools));
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, call_delta({{0, "c", "f", "{"}}, {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw(R"("id":"c","type":"function")"); }));
  SequenceDelta last = end_delta(SequenceEnd::kToolCalls, {.prompt = 10, .completion = 2});
  last.tool_calls = {{0, "", "", "}"}};
  api.tell(0, std::move(last));
  ASSERT_TRUE(client.wait());
  EXPECT_TRUE(client.saw(R"("finish_reason":"tool_calls")")) << client.text();
  EXPECT_TRUE(client.saw("data: [DONE]"));
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage, (TokenUsage{.prompt = 10, .completion = 2}));
}

TEST(ToolsApi, ARefusalOfTheEngineReachesTheClientInEachDialectsWords) {
  ApiHarness api;
  auto answer = api.post("/v1/responses", R"({"model":"tang-moe","input":"json","text":{"format":{"type":"json_object"}}})");
  api.submitted();
  api.dispatch();
  SequenceDelta refused;
  refused.end = SequenceEnd::kError;
  refused.error = Error(Code::kInvalidArgument, "unsupported_response_format", "'response_format' cannot be kept.",
                        "response_format");
  api.tell(0, std::move(refused));
  const auto response = answer.get();
  EXPECT_EQ(response.status, 400);
  const auto parsed = json::parse(response.body);
  ASSERT_TRUE(parsed) << response.body;
  EXPECT_EQ(parsed->at("error").at("code"), "unsupported_response_format");
  EXPECT_EQ(parsed->at("error").at("param"), "text.format");
}

TEST(ToolsApi, AnAnswerThatIsNotTheFormatIs503AndCostsNothing) {
  ApiHarness api;
  auto answer =
      api.post("/v1/responses", R"({"model":"tang-moe","input":"json","text":{"format":{"type":"json_object"}}})");
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 4}, "Sure! {}"));
  const auto response = answer.get();
  EXPECT_EQ(response.status, 503);
  const auto parsed = json::parse(response.body);
  ASSERT_TRUE(parsed) << response.body;
  EXPECT_EQ(parsed->at("error").at("code"), "answer_breaks_format");
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage, TokenUsage());
}

TEST(ToolsApi, CompletionsHaveNoTools) {
  ApiHarness api;
  const auto response = api.fetch("POST", "/v1/completions", R"({"model":"tang-moe","prompt":"x","tools":[{"a":1}]})");
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("'tools' is not supported here"), std::string::npos) << response.body;
}

}  // namespace
}  // namespace tidegate::gateway::test
