#include <gtest/gtest.h>

#include <string>

#include "base/json/json.h"
#include "tests/support/counted.h"
#include "tests/unit/gateway/http/api_harness.h"
#include "tests/unit/gateway/http/stream_client.h"

namespace tidegate::gateway::test::responses_api_test {
namespace {

constexpr const char* kPath = "/v1/responses";

std::string ask(bool is_stream, const std::string& more = "") {
  return std::string(R"({"model":"tang-moe","input":"hi","stream":)") + (is_stream ? "true" : "false") + more + "}";
}

TEST(ResponsesApi, AnswersAWholeResponseAfterItWasSettled) {
  ApiHarness api;
  auto answer = api.post(kPath, ask(false, R"(,"instructions":"s","max_output_tokens":64,"user":"ann")"));
  const auto request = api.submitted();
  EXPECT_EQ(request.max_tokens, 64);
  ASSERT_EQ(request.plan.messages.size(), 2U);
  api.dispatch();
  api.tell(0, accepted_delta(10, 4));
  api.tell(0, text_delta("hm", "", {.prompt = 10, .cached = 4, .completion = 2, .reasoning = 2}));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .cached = 4, .completion = 5, .reasoning = 2}, "Hello"));
  const auto response = answer.get();

  ASSERT_EQ(response.status, 200) << response.body;
  const json::object root = parsed(response.body);
  EXPECT_EQ(root.at("object"), "response");
  EXPECT_EQ(root.at("status"), "completed");
  EXPECT_FALSE(root.at("store").as_bool());
  EXPECT_EQ(root.at("output").at(0).at("content").at(0).at("text"), "hm");
  EXPECT_EQ(root.at("output").at(1).at("content").at(0).at("text"), "Hello");
  EXPECT_EQ(root.at("usage").at("input_tokens"), 10);
  EXPECT_EQ(root.at("usage").at("input_tokens_details").at("cached_tokens"), 4);
  EXPECT_EQ(root.at("usage").at("total_tokens"), 15);
  EXPECT_EQ(response.header("x-tidegate-variant"), "fp8");
  EXPECT_EQ(response.header("x-tidegate-weights"), "sha256:0123456789abcdef0123");
  EXPECT_EQ(response.header("x-tidegate-cost"), FakeMeter::price({.prompt = 10, .completion = 5}).to_string());
  EXPECT_EQ("resp_" + std::string(response.header("x-request-id")), std::string(root.at("id").as_string()));
  EXPECT_TRUE(response.header("request-id").empty());

  const auto entry = api.meter.entry(0);
  ASSERT_EQ(entry.settled.size(), 1U);
  EXPECT_EQ(entry.request.surface, "http.responses");
  EXPECT_EQ(entry.request.end_user, "ann");
  ASSERT_TRUE(eventually([&] { return api.log.has("request"); }));
  EXPECT_FALSE(api.log.mentions("Hello"));
  EXPECT_EQ(tidegate::test::counted(api.registry, 1, "tidegate_gateway_requests_total",
                                    {{"model", "tang-moe"}, {"surface", "http.responses"}, {"status", "200"}}),
            1);
}

TEST(ResponsesApi, ErrorsHaveOpenAisShapeAndThisDialectsFields) {
  ApiHarness api;
  const HttpHeaders good{{"Authorization", "Bearer good-key"}};
  const HttpHeaders bad{{"Authorization", "Bearer wrong"}};
  struct Case {
    const char* method;
    const char* path;
    std::string body;
    HttpHeaders headers;
    int status;
    const char* code;
  };
  const Case cases[] = {
      {"POST", kPath, "not json at all", bad, 401, "invalid_api_key"},
      {"POST", kPath, "{", good, 400, "invalid_json"},
      {"POST", "/responses", "{}", good, 400, "missing_field"},
      {"POST", kPath, ask(false, R"(,"previous_response_id":"resp_1")"), good, 400, "unsupported_parameter"},
      {"POST", kPath, R"({"model":"nope","input":"x"})", good, 404, "model_not_found"},
      {"GET", kPath, "", good, 405, "method_not_allowed"},
      {"GET", "/v1/responses/resp_1", "", good, 404, "not_found"},
      {"POST", "/v1/responses/resp_1/cancel", "{}", good, 404, "not_found"},
  };
  for (const Case& c : cases) {
    const auto response = api.fetch(c.method, c.path, c.body, c.headers);
    EXPECT_EQ(response.status, c.status) << c.method << ' ' << c.path << ' ' << response.body;
    EXPECT_EQ(code_of(response), c.code);
    EXPECT_TRUE(Uuid::parse(response.header("x-request-id")).has_value());
    EXPECT_EQ(response.header("x-should-retry"), "false");
  }
  EXPECT_EQ(api.meter.entries().size(), 0U);
}

TEST(ResponsesApi, EngineRefusalNamesTheFieldTheClientSent) {
  ApiHarness api;
  auto answer = api.post(kPath, ask(false));
  api.submitted();
  api.dispatch();
  SequenceDelta refused;
  refused.end = SequenceEnd::kError;
  refused.error = Error(Code::kInvalidArgument, "context_length_exceeded", "Too long.", "messages");
  api.tell(0, std::move(refused));
  const auto response = answer.get();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(parsed(response.body).at("error").at("param"), "input");
}

TEST(ResponsesStream, RunsFromCreatedToCompletedAndHasNoDone) {
  ApiHarness api;
  StreamClient client(api, ask(true), kPath);
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, text_delta("hm", "", {.prompt = 10, .completion = 1, .reasoning = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("reasoning_text.delta"); })) << "text leaves at once";
  api.tell(0, text_delta("", "Hi", {.prompt = 10, .completion = 2, .reasoning = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("Hi"); }));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 3, .reasoning = 1}, "!"));
  const auto response = client.wait();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->header("Content-Type"), "text/event-stream; charset=utf-8");
  const auto events = named_events_of(client.text());
  EXPECT_EQ(names_of(events),
            "response.created response.in_progress "
            "response.output_item.added response.content_part.added response.reasoning_text.delta "
            "response.reasoning_text.done response.content_part.done response.output_item.done "
            "response.output_item.added response.content_part.added response.output_text.delta "
            "response.output_text.delta response.output_text.done response.content_part.done response.output_item.done "
            "response.completed");
  EXPECT_FALSE(client.saw("[DONE]"));
  const json::value& last = events.back().data.at("response");
  EXPECT_EQ(last.at("output").at(1).at("content").at(0).at("text"), "Hi!");
  EXPECT_EQ(last.at("output").at(0).at("id"), events.at(4).data.at("item_id")) << "ids stay the same";
  EXPECT_EQ(last.at("output").at(1).at("id"), events.at(10).data.at("item_id"));
  EXPECT_EQ(last.at("usage").at("total_tokens"), 13);
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage.completion, 3);
}

TEST(ResponsesStream, AWaitingStreamIsOpenedThenKeptAlive) {
  ServingLimits limits;
  limits.keep_alive = std::chrono::milliseconds(10);
  ApiHarness api(limits);
  StreamClient client(api, ask(true), kPath);
  api.submitted();
  ASSERT_TRUE(eventually([&] { return client.saw(": keep-alive\n\n: keep-alive\n\n"); }));
  EXPECT_TRUE(client.saw("response.in_progress"));
  api.dispatch();
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 1}, "x"));
  ASSERT_TRUE(client.wait());
  const auto events = named_events_of(client.text());
  EXPECT_EQ(events.back().name, "response.completed");
  EXPECT_EQ(events.back().data.at("sequence_number").as_int64(), std::ssize(events) - 1);
}

TEST(ResponsesStream, WorkerLostMidStreamFailsTheResponse) {
  ApiHarness api;
  StreamClient client(api, ask(true), kPath);
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, text_delta("", "one", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("one"); }));
  api.on_lane([&] { api.dispatcher.submitted(0).listener->on_worker_lost(); });
  ASSERT_TRUE(client.wait());
  const auto events = named_events_of(client.text());
  EXPECT_EQ(events.at(events.size() - 2).name, "response.failed");
  EXPECT_EQ(events.back().name, "error");
  EXPECT_EQ(events.back().data.at("error").at("code"), "worker_lost");
  EXPECT_FALSE(client.saw("response.completed"));
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage.completion, 1);
}

TEST(ResponsesStream, ErrorBeforeTheFirstByteIsARealStatus) {
  ApiHarness api;
  StreamClient client(api, ask(true), kPath);
  api.submitted();
  api.on_lane([&] {
    api.dispatcher.submitted(0).listener->on_queue_refused(
        Refusal(Error(Code::kResourceExhausted, "queue_timeout", "m"), std::chrono::seconds(3)));
  });
  const auto response = client.wait();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 503);
  EXPECT_EQ(response->header("Retry-After"), "3");
}

TEST(ResponsesStream, UnjournalledEndFailsTheResponse) {
  ApiHarness api;
  api.meter.fail_next_settle(Error(Code::kUnavailable, "journal_failed", "The journal is broken."));
  StreamClient client(api, ask(true), kPath);
  api.submitted();
  api.dispatch();
  api.tell(0, text_delta("", "one", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("one"); }));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 2}));
  ASSERT_TRUE(client.wait());
  EXPECT_FALSE(client.saw("response.completed"));
  EXPECT_EQ(named_events_of(client.text()).back().data.at("error").at("code"), "journal_failed");
}

}  // namespace
}  // namespace tidegate::gateway::test::responses_api_test
