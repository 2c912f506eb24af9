#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/json/json.h"
#include "base/net/sse.h"
#include "tests/support/counted.h"
#include "tests/unit/gateway/http/api_harness.h"

namespace tidegate::gateway::test {
namespace {

std::string completion_body(const std::string& more = "") {
  return R"({"model":"tang-moe","prompt":"Once ")" + (more.empty() ? "" : "," + more) + "}";
}

TEST(CompletionsApi, AnswersAWholeCompletionAfterItWasSettled) {
  ApiHarness api;
  auto answer = api.post("/v1/completions", completion_body(R"("echo":true,"max_tokens":5)"));
  const auto request = api.submitted();
  ASSERT_TRUE(request.plan.raw.has_value());
  EXPECT_EQ(request.plan.raw->text, "Once ");
  EXPECT_TRUE(request.plan.messages.empty());
  EXPECT_EQ(request.max_tokens, 5);
  api.dispatch();
  api.tell(0, accepted_delta(3));
  api.tell(0, text_delta("", "upon", {.prompt = 3, .completion = 1}));
  api.tell(0, end_delta(SequenceEnd::kLength, {.prompt = 3, .completion = 5}, " a time"));
  const auto response = answer.get();

  ASSERT_EQ(response.status, 200) << response.body;
  const json::object root = parsed(response.body);
  EXPECT_EQ(root.at("object"), "text_completion");
  EXPECT_EQ(root.at("choices").at(0).at("text"), "Once upon a time");
  EXPECT_EQ(root.at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(root.at("usage").at("completion_tokens"), 5) << "what is echoed is not charged again";
  EXPECT_EQ(response.header("x-tidegate-variant"), "fp8");
  EXPECT_EQ(response.header("x-tidegate-weights"), "sha256:0123456789abcdef0123");
  const auto entry = api.meter.entry(0);
  EXPECT_EQ(entry.request.surface, "http.completions");
  ASSERT_EQ(entry.settled.size(), 1U);
  EXPECT_EQ(entry.settled[0].usage.completion, 5);
}

TEST(CompletionsApi, AStreamIsTextThenAFinishThenDone) {
  ApiHarness api;
  auto answer = api.post("/completions", completion_body(R"("stream":true,"stream_options":{"include_usage":true})"));
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(3));
  api.tell(0, text_delta("", "upon", {.prompt = 3, .completion = 1}));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 3, .completion = 2}));
  const auto response = answer.get();
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.header("Content-Type"), "text/event-stream; charset=utf-8");

  std::vector<std::string> data;
  sse::Parser parser([&](const sse::Parser::Event& event) { data.push_back(event.data); });
  ASSERT_TRUE(parser.feed(response.body));
  ASSERT_EQ(data.size(), 4U) << response.body;
  EXPECT_EQ(data.back(), "[DONE]");
  const json::object text = parsed(data[0]);
  EXPECT_EQ(text.at("object"), "text_completion");
  EXPECT_EQ(text.at("choices").at(0).at("text"), "upon");
  EXPECT_TRUE(text.at("choices").at(0).at("finish_reason").is_null());
  EXPECT_TRUE(text.at("usage").is_null());
  EXPECT_EQ(parsed(data[1]).at("choices").at(0).at("finish_reason"), "stop");
  EXPECT_EQ(parsed(data[2]).at("usage").at("total_tokens"), 5);
}

TEST(CompletionsApi, ALostWorkerIsAnErrorFrameAndNoDone) {
  ApiHarness api;
  auto answer = api.post("/v1/completions", completion_body(R"("stream":true)"));
  api.submitted();
  api.dispatch();
  api.tell(0, text_delta("", "upon", {.prompt = 3, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return api.meter.entry(0).progress.size() == 1; }));
  api.on_lane([&] { api.dispatcher.submitted(0).listener->on_worker_lost(); });
  const auto response = answer.get();
  EXPECT_NE(response.body.find(R"(data: {"error":{"message":)"), std::string::npos) << response.body;
  EXPECT_EQ(response.body.find("[DONE]"), std::string::npos);
}

TEST(CompletionsApi, AModelThatCannotFillInIsA400WithItsField) {
  ApiHarness api;
  auto answer = api.post("/beta/completions", completion_body(R"("suffix":"end")"));
  EXPECT_EQ(api.submitted().plan.raw->suffix, "end");
  api.dispatch();
  SequenceDelta refused;
  refused.end = SequenceEnd::kError;
  refused.error = Error(Code::kInvalidArgument, "unsupported_parameter", "No tokens to fill in the middle.", "suffix");
  api.tell(0, std::move(refused));
  const auto response = answer.get();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(parsed(response.body).at("error").at("param"), "suffix");
  EXPECT_EQ(parsed(response.body).at("error").at("code"), "unsupported_parameter");
}

TEST(CompletionsApi, RefusalsCostNothingAndKeysAreLookedAtFirst) {
  ApiHarness api;
  const HttpHeaders bad{{"Authorization", "Bearer wrong"}};
  EXPECT_EQ(api.fetch("POST", "/v1/completions", "not json", bad).status, 401);
  EXPECT_EQ(api.fetch("POST", "/v1/completions", "not json").status, 400);
  EXPECT_EQ(api.fetch("GET", "/v1/completions").status, 405);
  const auto ids = api.fetch("POST", "/v1/completions", R"({"model":"tang-moe","prompt":[1,2]})");
  EXPECT_EQ(ids.status, 400);
  EXPECT_EQ(parsed(ids.body).at("error").at("param"), "prompt");
  EXPECT_EQ(api.meter.entries().size(), 0U);
}

TEST(BetaMount, AnAnswerCanBeBegunByItsClient) {
  for (const char* path : {"/beta/chat/completions", "/v1/chat/completions", "/chat/completions"}) {
    ApiHarness api;
    auto answer = api.post(path, R"({"model":"tang-moe","stop":"```","messages":[{"role":"user","content":"code"},)"
                                 R"({"role":"assistant","content":"```cpp\n","prefix":true}]})");
    const auto request = api.submitted();
    EXPECT_TRUE(request.plan.messages.back().begins_answer) << path;
    EXPECT_EQ(request.plan.messages.back().content, "```cpp\n");
    api.dispatch();
    api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 9, .completion = 4}, "int main();\n"));
    const auto response = answer.get();
    ASSERT_EQ(response.status, 200) << response.body;
    const json::object root = parsed(response.body);
    EXPECT_EQ(root.at("choices").at(0).at("message").at("content"), "int main();\n") << "without what the client sent";
  }
}

TEST(BetaMount, AParameterThatIsWrongIs422AsDeepSeekHasItAnd400Elsewhere) {
  ApiHarness api;
  const std::string messages = R"("messages":[{"role":"user","content":"x"}])";
  const std::pair<std::string, const char*> wrong[] = {
      {R"({"model":"tang-moe","temperature":9,)" + messages + "}", "invalid_value"},
      {R"({"model":"tang-moe","temperature":"hot",)" + messages + "}", "wrong_type"},
      {R"({"model":"tang-moe"})", "missing_field"},
  };
  for (const auto& [body, code] : wrong) {
    const auto beta = api.fetch("POST", "/beta/chat/completions", body);
    EXPECT_EQ(beta.status, 422) << body;
    const json::object error = parsed(beta.body).at("error").as_object();
    EXPECT_EQ(error.at("code"), "invalid_parameter");
    EXPECT_EQ(error.at("type"), "invalid_request_error");
    EXPECT_EQ(beta.header("x-should-retry"), "false");
    for (const char* path : {"/v1/chat/completions", "/chat/completions"}) {
      const auto usual = api.fetch("POST", path, body);
      EXPECT_EQ(usual.status, 400) << path << body;
      EXPECT_EQ(parsed(usual.body).at("error").at("code"), code);
      EXPECT_EQ(parsed(usual.body).at("error").at("param"), error.at("param"));
    }
  }
  const std::pair<std::string, const char*> other[] = {
      {"{", "invalid_json"},
      {R"({"model":"tang-moe","prediction":{"type":"content"},)" + messages + "}", "unsupported_parameter"},
  };
  for (const auto& [body, code] : other) {
    const auto beta = api.fetch("POST", "/beta/chat/completions", body);
    EXPECT_EQ(beta.status, 400) << body;
    EXPECT_EQ(parsed(beta.body).at("error").at("code"), code);
  }
  EXPECT_EQ(tidegate::test::counted(api.registry, 3, "tidegate_gateway_requests_total",
                                    {{"model", ""}, {"surface", "http.chat"}, {"status", "422"}}),
            3);
}

TEST(OpenApiRoute, NeedsNoKey) {
  ApiHarness api;
  for (const char* path : {"/openapi.json", "/v1/openapi.json"}) {
    const auto response = api.fetch("GET", path, "", {});
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.header("Content-Type"), "application/json");
    EXPECT_EQ(parsed(response.body).at("openapi"), "3.1.0");
  }
}

}  // namespace
}  // namespace tidegate::gateway::test
