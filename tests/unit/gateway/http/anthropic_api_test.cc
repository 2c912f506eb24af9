#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/json/json.h"
#include "tests/support/counted.h"
#include "tests/unit/gateway/http/api_harness.h"
#include "tests/unit/gateway/http/stream_client.h"

namespace tidegate::gateway::test::anthropic_api_test {
namespace {

constexpr const char* kPath = "/v1/messages";
const HttpHeaders kOwnKey{{"x-api-key", "good-key"}, {"anthropic-version", "2023-06-01"}, {"anthropic-beta", "any"}};

std::string ask(bool is_stream, const std::string& more = "") {
  return std::string(R"({"model":"tang-moe","max_tokens":64,"messages":[{"role":"user","content":"hi"}],"stream":)") +
         (is_stream ? "true" : "false") + more + "}";
}
/// "type error_code" of an error in this dialect's shape.
std::string error_of(const HttpClientResponse& response) {
  const json::object root = parsed(response.body);
  const auto* error = root.if_contains("error");
  if (error == nullptr || !root.contains("request_id") || root.at("type") != "error")
    return "not an error: " + response.body;
  return std::string(error->at("type").as_string()) + " " +
         std::string(error->at("details").at("error_code").as_string());
}

TEST(AnthropicApi, AnswersAWholeMessageAfterItWasSettled) {
  ApiHarness api;
  auto answer = api.post(kPath, ask(false, R"(,"system":"s","metadata":{"user_id":"ann"})"), kOwnKey);
  const auto request = api.submitted();
  EXPECT_EQ(request.max_tokens, 64);
  ASSERT_EQ(request.plan.messages.size(), 2U);
  api.dispatch();
  api.tell(0, accepted_delta(10, 4));
  api.tell(0, text_delta("hm", "", {.prompt = 10, .cached = 4, .completion = 2, .reasoning = 2}));
  SequenceDelta last =
      end_delta(SequenceEnd::kStop, {.prompt = 10, .cached = 4, .completion = 5, .reasoning = 2}, "Hello");
  last.stop_text = "END";
  api.tell(0, std::move(last));
  const auto response = answer.get();

  ASSERT_EQ(response.status, 200) << response.body;
  const json::object root = parsed(response.body);
  EXPECT_EQ(root.at("model"), "tang-moe");
  EXPECT_EQ(root.at("content").at(0).at("thinking"), "hm");
  EXPECT_EQ(root.at("content").at(1).at("text"), "Hello");
  EXPECT_EQ(root.at("stop_reason"), "stop_sequence");
  EXPECT_EQ(root.at("stop_sequence"), "END");
  EXPECT_EQ(root.at("usage").at("input_tokens"), 6);
  EXPECT_EQ(root.at("usage").at("cache_read_input_tokens"), 4);
  EXPECT_EQ(root.at("usage").at("output_tokens"), 5);
  EXPECT_EQ(response.header("x-tidegate-price-band"), "off-peak");
  EXPECT_EQ(response.header("x-tidegate-variant"), "fp8");
  EXPECT_EQ(response.header("x-tidegate-weights"), "sha256:0123456789abcdef0123");
  EXPECT_EQ(response.header("x-tidegate-cost"), FakeMeter::price({.prompt = 10, .completion = 5}).to_string());
  EXPECT_EQ(response.header("request-id"), response.header("x-request-id"));
  EXPECT_EQ("msg_" + std::string(response.header("request-id")), std::string(root.at("id").as_string()));

  const auto entry = api.meter.entry(0);
  ASSERT_EQ(entry.settled.size(), 1U);
  EXPECT_EQ(entry.settled[0].outcome, Outcome::kCompleted);
  EXPECT_EQ(entry.request.surface, "http.messages");
  EXPECT_EQ(entry.request.end_user, "ann");
  ASSERT_TRUE(eventually([&] { return api.log.has("request"); }));
  EXPECT_FALSE(api.log.mentions("Hello"));
  EXPECT_EQ(tidegate::test::counted(api.registry, 1, "tidegate_gateway_requests_total",
                                    {{"model", "tang-moe"}, {"surface", "http.messages"}, {"status", "200"}}),
            1);
}

TEST(AnthropicApi, EveryMountIsOneRoute) {
  ApiHarness api;
  std::size_t n = 0;
  for (const char* path : {"/v1/messages", "/messages", "/anthropic/v1/messages", "/anthropic/messages"}) {
    auto answer = api.post(path, ask(false));
    api.submitted(n);
    api.dispatch(n);
    api.tell(n, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 1}, "x"));
    EXPECT_EQ(answer.get().status, 200) << path;
    ++n;
  }
}

TEST(AnthropicApi, TakesEitherKeyWhereverItStands) {
  ApiHarness api;
  const HttpHeaders good[] = {
      {{"x-api-key", "good-key"}},
      {{"Authorization", "Bearer good-key"}},
      {{"x-api-key", "good-key"}, {"Authorization", "Bearer of-the-proxy"}},
      {{"x-api-key", "of-the-proxy"}, {"Authorization", "Bearer good-key"}},
  };
  for (const HttpHeaders& headers : good) {
    EXPECT_EQ(error_of(api.fetch("POST", kPath, "{}", headers)), "invalid_request_error missing_field");
  }
  const HttpHeaders bad[] = {
      {},
      {{"x-api-key", "wrong"}},
      {{"x-api-key", "wrong"}, {"Authorization", "Bearer wrong"}},
      {{"Authorization", "Basic good-key"}},
  };
  for (const HttpHeaders& headers : bad) {
    const auto response = api.fetch("POST", kPath, "not json at all", headers);
    EXPECT_EQ(response.status, 401);
    EXPECT_EQ(error_of(response), "authentication_error invalid_api_key");
  }
}

TEST(AnthropicApi, ASuspendedTenantIsNotAskedForItsOtherKey) {
  ApiHarness api;
  api.principals.fail_all_with(Error(Code::kPermissionDenied, "tenant_suspended", "The tenant is suspended."));
  const auto response =
      api.fetch("POST", kPath, ask(false), {{"x-api-key", "good-key"}, {"Authorization", "Bearer wrong"}});
  EXPECT_EQ(response.status, 403);
  EXPECT_EQ(error_of(response), "permission_error tenant_suspended");
}

TEST(AnthropicApi, ErrorsHaveTheirStatusShapeAndRequestId) {
  ApiHarness api({}, {"tang-moe", "secret-model"});
  api.principals.add("narrow-key", {"tang-moe"});
  const HttpHeaders narrow{{"x-api-key", "narrow-key"}};
  const auto with_model = [](const std::string& model) {
    return R"({"model":")" + model + R"(","max_tokens":1,"messages":[{"role":"user","content":"x"}]})";
  };
  struct Case {
    const char* method;
    const char* path;
    std::string body;
    HttpHeaders headers;
    int status;
    const char* error;
  };
  const Case cases[] = {
      {"POST", kPath, "{", kOwnKey, 400, "invalid_request_error invalid_json"},
      {"POST", kPath, ask(false, R"(,"top_p":2)"), kOwnKey, 400, "invalid_request_error invalid_value"},
      {"POST", kPath, ask(false, R"(,"tools":[{"name":"no name"}])"), kOwnKey, 400,
       "invalid_request_error invalid_value"},
      {"POST", kPath, with_model("nope"), kOwnKey, 404, "not_found_error model_not_found"},
      {"POST", kPath, with_model("secret-model"), narrow, 403, "permission_error model_not_allowed"},
      {"GET", kPath, "", kOwnKey, 405, "invalid_request_error method_not_allowed"},
      {"POST", "/v1/messages/count", ask(false), kOwnKey, 404, "not_found_error not_found"},
      {"POST", "/v1/messages/batches", "{}", kOwnKey, 404, "not_found_error not_found"},
      {"GET", "/anthropic/v1/models/nope", "", kOwnKey, 404, "not_found_error model_not_found"},
      {"GET", "/anthropic/v1/models/secret-model", "", narrow, 404, "not_found_error model_not_found"},
      {"GET", "/anthropic/v1/models?limit=0", "", kOwnKey, 400, "invalid_request_error invalid_value"},
      {"GET", "/anthropic/v1/models?limit=2x", "", kOwnKey, 400, "invalid_request_error invalid_value"},
      {"GET", "/anthropic/v1/models?after_id=a&before_id=b", "", kOwnKey, 400, "invalid_request_error invalid_value"},
      {"GET", "/anthropic/v1/models", "", {{"x-api-key", "wrong"}}, 401, "authentication_error invalid_api_key"},
      {"GET", "/anthropic/models", "", kOwnKey, 404, "not_found_error not_found"},
  };
  for (const Case& c : cases) {
    const auto response = api.fetch(c.method, c.path, c.body, c.headers);
    EXPECT_EQ(response.status, c.status) << c.method << ' ' << c.path << ' ' << response.body;
    EXPECT_EQ(error_of(response), c.error);
    EXPECT_TRUE(Uuid::parse(response.header("request-id")).has_value());
    EXPECT_EQ(response.header("x-should-retry"), "false");
  }
  EXPECT_EQ(api.fetch("GET", kPath).header("Allow"), "POST");
  EXPECT_EQ(api.meter.entries().size(), 0U);
  EXPECT_EQ(tidegate::test::counted(api.registry, 3, "tidegate_gateway_requests_total",
                                    {{"model", ""}, {"surface", "http.messages"}, {"status", "400"}}),
            3);
}

TEST(AnthropicApi, EmptyWalletIs402AndAFullQueueIsOverloadWithRetryAfter) {
  ApiHarness api;
  api.meter.fail_next_admit(Error(Code::kResourceExhausted, "insufficient_balance", "The wallet is empty; top it up."));
  const auto poor = api.fetch("POST", kPath, ask(true));
  EXPECT_EQ(poor.status, 402);
  EXPECT_EQ(error_of(poor), "billing_error insufficient_balance");

  api.dispatcher.refuse_next_submit(
      Refusal(Error(Code::kResourceExhausted, "queue_full", "m"), std::chrono::seconds(7)));
  const auto full = api.fetch("POST", kPath, ask(true));
  EXPECT_EQ(full.status, 529);
  EXPECT_EQ(error_of(full), "overloaded_error server_overloaded");
  EXPECT_EQ(full.header("Retry-After"), "7");
  EXPECT_EQ(full.header("x-should-retry"), "true");
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage, TokenUsage{});
  ASSERT_TRUE(eventually([&] {
    return api.registry.value("tidegate_gateway_requests_total",
                              {{"model", "tang-moe"}, {"surface", "http.messages"}, {"status", "529"}}) == 1;
  })) << "metrics say what the client was told";
}

std::string ids_of(const json::value& page) {
  std::string ids;
  for (const json::value& model : page.at("data").as_array()) {
    EXPECT_EQ(model.at("type"), "model");
    EXPECT_EQ(model.at("display_name"), model.at("id"));
    EXPECT_TRUE(parse_rfc3339(std::string_view(model.at("created_at").as_string())));
    ids += std::string(model.at("id").as_string()) + " ";
  }
  return ids;
}

TEST(AnthropicApi, ModelsAreAListInItsShapeThatIsPagedByName) {
  ApiHarness api({}, {"a", "b", "c", "d"});
  api.principals.add("narrow-key", {"b", "d"});
  api.meter.set_quote("b", {"peak", "USD", "book/1", "1", "2", "3", 0});
  const auto get = [&](const std::string& query, const char* key = "good-key") {
    const auto response = api.fetch("GET", "/anthropic/v1/models" + query, "", {{"x-api-key", key}});
    EXPECT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(response.header("request-id"), response.header("x-request-id"));
    return json::parse(response.body).value();
  };
  const json::value all = get("");
  EXPECT_EQ(ids_of(all), "a b c d ");
  EXPECT_FALSE(all.at("has_more").as_bool());
  EXPECT_EQ(all.at("first_id"), "a");
  EXPECT_EQ(all.at("last_id"), "d");
  EXPECT_EQ(all.at("data").at(1).at("pricing").at("prompt_miss"), "2");
  EXPECT_EQ(all.at("data").at(0).at("context_length"), 4'096);

  const json::value two = get("?limit=2");
  EXPECT_EQ(ids_of(two), "a b ");
  EXPECT_TRUE(two.at("has_more").as_bool());
  const json::value rest = get("?limit=2&after_id=b");
  EXPECT_EQ(ids_of(rest), "c d ");
  EXPECT_FALSE(rest.at("has_more").as_bool());
  const json::value back = get("?limit=2&before_id=d");
  EXPECT_EQ(ids_of(back), "b c ");
  EXPECT_TRUE(back.at("has_more").as_bool());
  const json::value none = get("?after_id=z");
  EXPECT_EQ(ids_of(none), "");
  EXPECT_TRUE(none.at("first_id").is_null());
  EXPECT_TRUE(none.at("last_id").is_null());

  EXPECT_EQ(ids_of(get("", "narrow-key")), "b d ") << "only what the key may call";
  const json::value one = get("/b");
  EXPECT_EQ(one.at("id"), "b");
  EXPECT_EQ(one, all.at("data").at(1));
}

TEST(AnthropicApi, AnAnswerCanBeBegunByItsClient) {
  ApiHarness api;
  auto answer = api.post(kPath, R"({"model":"tang-moe","max_tokens":9,"messages":[{"role":"user","content":"code"},)"
                                R"({"role":"assistant","content":"```cpp\n"}]})");
  const auto request = api.submitted();
  EXPECT_TRUE(request.plan.messages.back().begins_answer);
  EXPECT_EQ(request.plan.messages.back().content, "```cpp\n");
  api.dispatch();
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 9, .completion = 4}, "int main();\n"));
  const auto response = answer.get();
  ASSERT_EQ(response.status, 200) << response.body;
  const json::object root = parsed(response.body);
  ASSERT_EQ(root.at("content").as_array().size(), 1U);
  EXPECT_EQ(root.at("content").at(0).at("text"), "int main();\n") << "without what the client sent";
}

TEST(AnthropicApi, ASlowAnswerGetsBlankLinesAndThenItsBodyWithItsCost) {
  ServingLimits limits;
  limits.keep_alive = std::chrono::milliseconds(10);
  limits.blank_lines_after = std::chrono::milliseconds(0);
  ApiHarness api(limits);
  StreamClient client(api, ask(false), kPath);
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  ASSERT_TRUE(eventually([&] { return client.saw("\n\n"); }));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 2}, "Hello"));
  const auto response = client.wait();
  ASSERT_TRUE(response) << response.error().to_string();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->header("Content-Type"), "application/json");
  const json::object root = parsed(client.text());
  ASSERT_EQ(root.at("type"), "message");
  EXPECT_EQ(root.at("content").at(0).at("text"), "Hello");
  EXPECT_EQ(std::string(root.at("usage").at("cost_details").at("amount").as_string()),
            FakeMeter::price({.prompt = 10, .completion = 2}).to_string());
}

TEST(AnthropicApi, AnErrorAfterBlankLinesHasItsShapeAndNoEnd) {
  ServingLimits limits;
  limits.keep_alive = std::chrono::milliseconds(10);
  limits.blank_lines_after = std::chrono::milliseconds(0);
  ApiHarness api(limits);
  StreamClient client(api, ask(false), kPath);
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  ASSERT_TRUE(eventually([&] { return client.saw("\n"); }));
  SequenceDelta failed;
  failed.end = SequenceEnd::kError;
  failed.error = Error(Code::kInternal, "numeric_fault", "m");
  api.tell(0, std::move(failed));
  EXPECT_FALSE(client.wait()) << "a body without its end";
  EXPECT_TRUE(client.saw(R"({"type":"error","error":{"type":"api_error")")) << client.text();
}

TEST(AnthropicApi, UnjournalledBodyIsNotSent) {
  ApiHarness api;
  api.meter.fail_next_settle(Error(Code::kUnavailable, "journal_failed", "The journal is broken."));
  auto answer = api.post(kPath, ask(false));
  api.submitted();
  api.dispatch();
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "answer"));
  const auto response = answer.get();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body.find("answer"), std::string::npos);
}

TEST(AnthropicStream, RunsFromMessageStartToMessageStop) {
  ApiHarness api;
  StreamClient client(api, ask(true), kPath);
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10, 4));
  api.tell(0, text_delta("hm", "", {.prompt = 10, .cached = 4, .completion = 1, .reasoning = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("thinking_delta"); })) << "text leaves at once";
  api.tell(0, text_delta("", "Hi", {.prompt = 10, .cached = 4, .completion = 2, .reasoning = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("Hi"); }));
  api.tell(0, end_delta(SequenceEnd::kLength, {.prompt = 10, .cached = 4, .completion = 3, .reasoning = 1}, "!"));
  const auto response = client.wait();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->header("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(response->header("X-Accel-Buffering"), "no");
  EXPECT_EQ(response->header("x-tidegate-price-band"), "off-peak");
  EXPECT_TRUE(Uuid::parse(response->header("request-id")).has_value());

  const auto events = named_events_of(client.text());
  EXPECT_EQ(
      names_of(events),
      "message_start content_block_start content_block_delta content_block_delta content_block_stop "
      "content_block_start content_block_delta content_block_delta content_block_stop message_delta message_stop");
  EXPECT_EQ(events.at(0).data.at("message").at("usage").at("input_tokens"), 6) << "known since the worker counted";
  EXPECT_EQ(events.at(9).data.at("delta").at("stop_reason"), "max_tokens");
  EXPECT_EQ(events.at(9).data.at("usage").at("output_tokens"), 3);
  const auto entry = api.meter.entry(0);
  EXPECT_EQ(entry.progress.size(), 2U) << "before each delivery; the end is covered by FINAL";
  EXPECT_EQ(entry.settled.at(0).usage.completion, 3);
  EXPECT_TRUE(entry.request.is_stream);
}

TEST(AnthropicStream, AWaitingStreamGetsPings) {
  ServingLimits limits;
  limits.keep_alive = std::chrono::milliseconds(10);
  ApiHarness api(limits);
  StreamClient client(api, ask(true), kPath);
  api.submitted();
  const std::string ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
  ASSERT_TRUE(eventually([&] { return client.saw(ping + ping); })) << "queued";
  EXPECT_FALSE(client.saw("message_start"));
  api.dispatch();
  api.tell(0, accepted_delta(10));
  ASSERT_TRUE(eventually([&] { return client.saw("message_start"); })) << "read, and not yet answered";
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 1}, "x"));
  ASSERT_TRUE(client.wait());
  std::string names;
  for (const NamedEvent& event : named_events_of(client.text())) names += event.name == "ping" ? "" : event.name + " ";
  EXPECT_EQ(names,
            "message_start content_block_start content_block_delta content_block_stop message_delta message_stop ");
}

TEST(AnthropicStream, WorkerLostMidStreamIsAnErrorEventAndNoEnd) {
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
  EXPECT_EQ(events.back().name, "error");
  EXPECT_EQ(events.back().data.at("error").at("details").at("error_code"), "worker_lost");
  EXPECT_FALSE(client.saw("message_delta"));
  EXPECT_FALSE(client.saw("message_stop"));
  EXPECT_EQ(api.meter.entry(0).settled.at(0).outcome, Outcome::kFailed);
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage.completion, 1);
}

TEST(AnthropicStream, UnjournalledEndIsAnErrorEvent) {
  ApiHarness api;
  api.meter.fail_next_settle(Error(Code::kUnavailable, "journal_failed", "The journal is broken."));
  StreamClient client(api, ask(true), kPath);
  api.submitted();
  api.dispatch();
  api.tell(0, text_delta("", "one", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("one"); }));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 2}));
  ASSERT_TRUE(client.wait());
  EXPECT_FALSE(client.saw("message_stop"));
  EXPECT_EQ(named_events_of(client.text()).back().data.at("error").at("details").at("error_code"), "journal_failed");
}

TEST(AnthropicStream, ErrorBeforeTheFirstByteIsARealStatus) {
  ApiHarness api;
  StreamClient client(api, ask(true), kPath);
  api.submitted();
  api.on_lane([&] {
    api.dispatcher.submitted(0).listener->on_queue_refused(
        Refusal(Error(Code::kResourceExhausted, "queue_timeout", "m"), std::chrono::seconds(3)));
  });
  const auto response = client.wait();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 529);
  EXPECT_EQ(response->header("Retry-After"), "3");
  EXPECT_TRUE(client.saw("overloaded_error"));
}

TEST(AnthropicStream, ClientThatLeavesMidStreamStopsTheWorkerAndPaysWhatItGot) {
  ApiHarness api;
  StreamClient client(api, ask(true), kPath);
  const auto request = api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, text_delta("", "one", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("one"); }));
  client.leave_at_next_byte();
  api.tell(0, text_delta("", "two", {.prompt = 10, .completion = 2}));
  client.wait();
  ASSERT_TRUE(eventually([&] { return api.dispatcher.has_left(request.ticket); }));
  ASSERT_TRUE(eventually([&] { return api.meter.settled_count() == 1; }));
  EXPECT_EQ(api.meter.entry(0).settled.at(0).outcome, Outcome::kCancelled);
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage.completion, 2);
}

TEST(AnthropicStream, ARetryAfterTheOpeningStillEndsWithTheRightUsage) {
  ServingLimits limits;
  limits.keep_alive = std::chrono::milliseconds(10);
  ApiHarness api(limits);
  StreamClient client(api, ask(true), kPath);
  api.submitted(0);
  api.dispatch(0);
  api.tell(0, accepted_delta(10, 4));
  ASSERT_TRUE(eventually([&] { return client.saw("message_start"); }));
  api.on_lane([&] { api.dispatcher.submitted(0).listener->on_worker_lost(); });
  api.submitted(1);
  api.dispatch(1);
  api.tell(1, accepted_delta(10, 0));
  api.tell(1, end_delta(SequenceEnd::kStop, {.prompt = 10, .cached = 0, .completion = 1}, "x"));
  ASSERT_TRUE(client.wait());
  const auto events = named_events_of(client.text());
  EXPECT_EQ(std::ranges::count(events, std::string("message_start"), &NamedEvent::name), 1);
  EXPECT_EQ(events.at(events.size() - 2).data.at("usage").at("input_tokens"), 10);
}

}  // namespace
}  // namespace tidegate::gateway::test::anthropic_api_test
