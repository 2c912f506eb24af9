#include <gtest/gtest.h>

#include <iterator>
#include <string>
#include <utility>

#include "base/json/json.h"
#include "tests/support/counted.h"
#include "tests/support/net/raw_client.h"
#include "tests/unit/gateway/http/api_harness.h"

namespace tidegate::gateway::test {
namespace {

TEST(OpenAiApi, AnswersAWholeCompletionAfterItWasSettled) {
  ApiHarness api;
  auto answer = api.post_chat(chat_body(false));
  const auto request = api.submitted();
  EXPECT_EQ(request.max_tokens, 4'096) << "the default is cut to the context";
  api.dispatch();
  api.tell(0, accepted_delta(10, 4));
  api.tell(0, text_delta("hm", "", {.prompt = 10, .cached = 4, .completion = 2, .reasoning = 2}));
  api.tell(0, text_delta("", "Hello", {.prompt = 10, .cached = 4, .completion = 3, .reasoning = 2}));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .cached = 4, .completion = 5, .reasoning = 2}, "!"));
  const auto response = answer.get();

  ASSERT_EQ(response.status, 200) << response.body;
  const json::object root = parsed(response.body);
  EXPECT_EQ(root.at("model"), "tang-moe");
  EXPECT_EQ(root.at("choices").at(0).at("message").at("content"), "Hello!");
  EXPECT_EQ(root.at("choices").at(0).at("message").at("reasoning_content"), "hm");
  EXPECT_EQ(root.at("usage").at("completion_tokens"), 5);
  EXPECT_EQ(response.header("x-tidegate-price-band"), "off-peak");
  EXPECT_EQ(response.header("x-tidegate-variant"), "fp8");
  EXPECT_EQ(response.header("x-tidegate-weights"), "sha256:0123456789abcdef0123");
  EXPECT_EQ(response.header("x-tidegate-cost"), FakeMeter::price({.prompt = 10, .completion = 5}).to_string());
  EXPECT_FALSE(response.header("openai-processing-ms").empty());
  EXPECT_TRUE(Uuid::parse(response.header("x-request-id")).has_value());

  const auto entry = api.meter.entry(0);
  ASSERT_EQ(entry.settled.size(), 1U);
  EXPECT_EQ(entry.settled[0].outcome, Outcome::kCompleted);
  EXPECT_EQ(entry.settled[0].worker_id, "worker-1");
  EXPECT_EQ(entry.accepted.size(), 1U);
  EXPECT_TRUE(entry.progress.empty()) << "nothing had left before the end";
  const Labels pool{{"model", "tang-moe"}, {"region", "local"}, {"pool", "cpu"}};
  EXPECT_EQ(api.registry.value("tidegate_gateway_inter_token_seconds", pool), 0) << "of streams only";
  EXPECT_EQ(entry.request.surface, "http.chat");
  EXPECT_EQ(entry.request.pool, "cpu");
}

TEST(OpenAiApi, LogsOneLinePerRequestAndNoContent) {
  ApiHarness api;
  auto answer = api.post_chat(R"({"model":"tang-moe","messages":[{"role":"user","content":"my secret plan"}]})");
  api.submitted();
  api.dispatch();
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "secret answer"));
  ASSERT_EQ(answer.get().status, 200);
  ASSERT_TRUE(eventually([&] { return api.log.has("request"); }));
  EXPECT_EQ(api.log.count("request"), 1U);
  EXPECT_FALSE(api.log.mentions("secret"));
  EXPECT_FALSE(api.log.mentions("good-key"));
  EXPECT_TRUE(api.log.mentions("\"completion_tokens\":5"));
  EXPECT_EQ(tidegate::test::counted(api.registry, 1, "tidegate_gateway_requests_total",
                                    {{"model", "tang-moe"}, {"surface", "http.chat"}, {"status", "200"}}),
            1);
}

TEST(OpenAiApi, ErrorsHaveTheirStatusShapeAndRequestId) {
  ApiHarness api({}, {"tang-moe", "secret-model"});
  api.principals.add("narrow-key", {"tang-moe"});
  const HttpHeaders good{{"Authorization", "Bearer good-key"}};
  const HttpHeaders narrow{{"Authorization", "Bearer narrow-key"}};
  const HttpHeaders bad{{"Authorization", "Bearer wrong"}};
  const auto with_model = [](const std::string& model) {
    return R"({"model":")" + model + R"(","messages":[{"role":"user","content":"x"}]})";
  };
  struct Case {
    const char* method;
    const char* path;
    std::string body;
    HttpHeaders headers;
    int status;
    const char* code;
  };
  const Case cases[] = {
      {"POST", "/v1/chat/completions", "{}", bad, 401, "invalid_api_key"},
      {"POST", "/v1/chat/completions", "not json at all", bad, 401, "invalid_api_key"},
      {"POST", "/v1/chat/completions", "{}", {}, 401, "invalid_api_key"},
      {"POST", "/v1/chat/completions", "{}", {{"Authorization", "Basic good-key"}}, 401, "invalid_api_key"},
      {"POST", "/v1/chat/completions", "{", good, 400, "invalid_json"},
      {"POST", "/chat/completions", "{}", good, 400, "missing_field"},
      {"POST", "/v1/chat/completions", with_model("nope"), good, 404, "model_not_found"},
      {"POST", "/v1/chat/completions", with_model("secret-model"), narrow, 403, "model_not_allowed"},
      {"GET", "/v1/chat/completions", "", good, 405, "method_not_allowed"},
      {"POST", "/v1/models", "{}", good, 405, "method_not_allowed"},
      {"GET", "/v1/nothing", "", good, 404, "not_found"},
      {"GET", "/health", "", good, 404, "not_found"},
      {"GET", "/v1/models/secret-model", "", narrow, 404, "model_not_found"},
      {"GET", "/v1/models", "", bad, 401, "invalid_api_key"},
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

TEST(OpenAiApi, EmptyWalletIs402AndAFullQueueIs503WithRetryAfter) {
  ApiHarness api;
  api.meter.fail_next_admit(Error(Code::kResourceExhausted, "insufficient_balance", "The wallet is empty; top it up."));
  const auto poor = api.fetch("POST", "/v1/chat/completions", chat_body(true));
  EXPECT_EQ(poor.status, 402);
  EXPECT_EQ(code_of(poor), "insufficient_balance");
  EXPECT_TRUE(poor.header("Retry-After").empty());

  api.dispatcher.refuse_next_submit(
      Refusal(Error(Code::kResourceExhausted, "queue_full", "m"), std::chrono::seconds(7)));
  const auto full = api.fetch("POST", "/v1/chat/completions", chat_body(true));
  EXPECT_EQ(full.status, 503);
  EXPECT_EQ(full.header("Retry-After"), "7");
  EXPECT_EQ(full.header("x-should-retry"), "true");
  EXPECT_EQ(api.meter.entry(0).settled.at(0).outcome, Outcome::kFailed) << "the hold was released";
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage, TokenUsage{});
}

TEST(OpenAiApi, EngineRefusalIsA400WithItsField) {
  ApiHarness api;
  auto answer = api.post_chat(chat_body(false));
  api.submitted();
  api.dispatch();
  SequenceDelta refused;
  refused.end = SequenceEnd::kError;
  refused.error = Error(Code::kInvalidArgument, "context_length_exceeded", "Too long.", "messages");
  api.tell(0, std::move(refused));
  const auto response = answer.get();
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(parsed(response.body).at("error").at("param"), "messages");
}

TEST(OpenAiApi, WorkerLostBeforeTheFirstTokenIsInvisible) {
  ApiHarness api;
  auto answer = api.post_chat(chat_body(false));
  api.submitted(0);
  api.dispatch(0);
  api.on_lane([&] { api.dispatcher.submitted(0).listener->on_worker_lost(); });
  api.submitted(1);
  EXPECT_EQ(api.dispatcher.submitted(0).avoid_worker, "");
  EXPECT_EQ(api.dispatcher.submitted(1).avoid_worker, fake_worker().worker_id) << "not to the same one again";
  api.dispatch(1);
  api.tell(1, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "ok"));
  EXPECT_EQ(answer.get().status, 200);
  EXPECT_EQ(api.meter.settled_count(), 1U);
}

TEST(OpenAiApi, AWholeAnswerWhoseWorkerIsLostIsWrittenByAnotherOneAndPaidOnce) {
  ApiHarness api;
  auto answer = api.post_chat(chat_body(false));
  api.submitted(0);
  api.dispatch(0);
  api.tell(0, accepted_delta(10));
  api.tell(0, text_delta("lost thought", "lost words", {.prompt = 10, .completion = 7}));
  api.on_lane([&] { api.dispatcher.submitted(0).listener->on_worker_lost(); });
  api.submitted(1);
  EXPECT_EQ(api.dispatcher.submitted(1).avoid_worker, fake_worker().worker_id);
  api.dispatch(1);
  api.tell(1, accepted_delta(10));
  api.tell(1, text_delta("", "again ", {.prompt = 10, .completion = 1}));
  api.tell(1, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 2}, "whole"));
  const auto response = answer.get();
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(parsed(response.body).at("choices").at(0).at("message").at("content"), "again whole");
  EXPECT_EQ(response.body.find("lost"), std::string::npos) << response.body;
  ASSERT_EQ(api.meter.settled_count(), 1U);
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage.completion, 2) << "the lost tokens are ours";
  EXPECT_TRUE(api.meter.entry(0).progress.empty());
}

TEST(OpenAiApi, ATenantsDataStaysInItsRegions) {
  ApiHarness api;
  api.principals.add("resident", {}, {}, {"eu-1"});
  const HttpHeaders resident{{"Authorization", "Bearer resident"}};
  const auto refused = api.fetch("POST", "/v1/chat/completions", chat_body(false), resident);
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(code_of(refused), "region_not_allowed");
  EXPECT_NE(refused.body.find("'eu-1'"), std::string::npos) << "where it may be";
  EXPECT_NE(refused.body.find("'local'"), std::string::npos) << "and where the model is";
  EXPECT_EQ(api.meter.entries().size(), 0U);
}

TEST(OpenAiApi, ARequestSpillsToAnotherRegionOnlyAtTheSamePrice) {
  ApiHarness api;
  api.dispatcher.offer_spill({{"tang-moe", "dear", "cpu", 4'096}, {"tang-moe", "near", "cpu", 4'096}});
  auto stays = api.post_chat(chat_body(false));
  EXPECT_EQ(api.submitted(0).pool.region, "local") << "both cost something else";
  api.dispatch(0);
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "ok"));
  EXPECT_EQ(stays.get().status, 200);
  api.meter.share_price_with("near");
  auto spills = api.post_chat(chat_body(false));
  EXPECT_EQ(api.submitted(1).pool.region, "near");
  EXPECT_EQ(api.meter.entry(1).request.region, "near") << "priced where it is served";
  api.dispatch(1);
  api.tell(1, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "ok"));
  EXPECT_EQ(spills.get().status, 200);
  EXPECT_EQ(tidegate::test::counted(api.registry, 1, "tidegate_gateway_spills_total",
                                    {{"model", "tang-moe"}, {"region", "local"}, {"pool", "cpu"}}),
            1);
}

TEST(OpenAiApi, ClientThatLeavesBeforeAWholeAnswerPaysWhatWasCollectedForIt) {
  ApiHarness api;
  tidegate::test::RawClient client(api.server->port());
  const std::string body = chat_body(false);
  ASSERT_TRUE(
      client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer good-key\r\n"
                  "Content-Type: application/json\r\nContent-Length: " +
                  std::to_string(body.size()) + "\r\n\r\n" + body));
  const auto request = api.submitted();
  api.dispatch();
  SequenceDelta first = text_delta("", "one", {.prompt = 10, .completion = 1});
  first.accepted = true;
  api.tell(0, std::move(first));
  // Nothing leaves before the end: that the charge heard of the event is the only sign that it was taken.
  ASSERT_TRUE(eventually([&] { return api.meter.entry(0).accepted.size() == 1; }));
  client.reset();
  ASSERT_TRUE(eventually([&] { return api.dispatcher.has_left(request.ticket); }));
  ASSERT_TRUE(eventually([&] { return api.meter.settled_count() == 1; }));
  EXPECT_EQ(api.meter.entry(0).settled.at(0).outcome, Outcome::kCancelled);
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage, (TokenUsage{.prompt = 10, .completion = 1}));
}

TEST(OpenAiApi, WhatTheServerRefusesUnreadHasAnIdThatIsLoggedAndSaysWhetherToComeBack) {
  ApiHarness api;
  const std::string post = "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\n";
  const std::pair<std::string, int> cases[] = {
      {"HEAD /v1/models HTTP/1.1\r\nHost: t\r\n\r\n", 405},
      {post + "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415},
      {post + "Content-Type: application/json\r\nContent-Length: 999999999\r\n\r\n", 413},
      {"GET / HTTP/1.1\r\n\r\n", 400},
  };
  for (const auto& [request, status] : cases) {
    tidegate::test::RawClient client(api.server->port());
    ASSERT_TRUE(client.send(request));
    ASSERT_TRUE(client.read_to_end());
    const std::string& got = client.received();
    EXPECT_TRUE(got.starts_with("HTTP/1.1 " + std::to_string(status))) << got;
    EXPECT_NE(got.find("x-should-retry: false\r\n"), std::string::npos) << got;
    const std::string name = "x-request-id: ";
    const auto at = got.find(name);
    ASSERT_NE(at, std::string::npos) << got;
    const std::string id = got.substr(at + name.size(), 36);
    EXPECT_TRUE(Uuid::parse(id).has_value()) << id;
    EXPECT_TRUE(api.log.mentions(id));
  }
  EXPECT_EQ(api.log.count("request_unread"), std::size(cases));
}

TEST(OpenAiApi, HeadersSayHowLongThePriceLastsHowLongTheRequestWaitedAndWhoseTraceItIsIn) {
  ApiHarness api;
  api.meter.set_price_until(parse_rfc3339("2026-11-22T06:00:00Z").value());
  const std::string trace = "0af7651916cd43dd8448eb211c80319c";
  auto answer =
      api.post("/v1/chat/completions", chat_body(false),
               {{"Authorization", "Bearer good-key"}, {"traceparent", "00-" + trace + "-b7ad6b7169203331-01"}});
  api.submitted();
  api.on_lane([&] { api.clock.shift(std::chrono::seconds(3)); });
  api.dispatch();
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 1}, "x"));
  const auto response = answer.get();
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.header("x-tidegate-price-until"), "2026-11-22T06:00:00.000000Z");
  EXPECT_GE(std::stoi("0" + std::string(response.header("x-tidegate-queue-ms"))), 3'000);
  const std::string parent(response.header("traceparent"));
  EXPECT_EQ(parent.size(), 55U) << parent;
  EXPECT_TRUE(parent.starts_with("00-" + trace + "-")) << parent;
  EXPECT_TRUE(parent.ends_with("-01")) << parent;
  ASSERT_TRUE(eventually([&] { return api.log.has("request"); }));
  EXPECT_TRUE(api.log.mentions(trace));
}

TEST(OpenAiApi, WhatWasNotAdmittedHasNoPriceAndNoWaitButATrace) {
  ApiHarness api;
  api.meter.set_price_until(parse_rfc3339("2026-11-22T06:00:00Z").value());
  for (const auto& response :
       {api.fetch("POST", "/v1/chat/completions", "{"), api.fetch("GET", "/v1/models"), api.fetch("GET", "/nowhere")}) {
    EXPECT_EQ(response.header("x-tidegate-price-until"), "");
    EXPECT_EQ(response.header("x-tidegate-queue-ms"), "");
    std::string id(response.header("x-request-id"));
    std::erase(id, '-');
    EXPECT_TRUE(response.header("traceparent").starts_with("00-" + id + "-")) << "a trace of its own";
  }
}

TEST(OpenAiApi, TheEndUserThatARequestNamesIsToldToTheMeter) {
  ApiHarness api;
  auto answer = api.post_chat(chat_body(false, R"(,"user":"ann")"));
  api.submitted();
  api.dispatch();
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 1}, "x"));
  EXPECT_EQ(answer.get().status, 200);
  EXPECT_EQ(api.meter.entry(0).request.end_user, "ann") << "or the caps of end users bind nobody";
}

TEST(OpenAiApi, ReadingCostsNothingHoweverOftenAndShowsNobodyElsesReceipt) {
  ApiHarness api;
  const std::string id = RequestId{tidegate::test::SequentialIds::make(77)}.to_string();
  const auto caller = api.principals.authenticate("good-key", {});
  api.receipts.add((*caller)->tenant, id, "signed");
  api.principals.add("other-key");
  const std::string paths[] = {"/v1/receipts/" + id, "/v1/receipts/keys", "/v1/models", "/v1/models/tang-moe"};
  for (int i = 0; i < 2; ++i) {
    for (const std::string& path : paths) EXPECT_EQ(api.fetch("GET", path).status, 200) << path;
  }
  const auto foreign = api.fetch("GET", "/v1/receipts/" + id, "", {{"Authorization", "Bearer other-key"}});
  EXPECT_EQ(foreign.status, 404);
  EXPECT_EQ(api.meter.entries().size(), 0U);
  EXPECT_EQ(api.dispatcher.submitted_count(), 0U);
}

TEST(OpenAiApi, RequestDeadlineIsAnError) {
  ServingLimits limits;
  limits.request_max = std::chrono::milliseconds(30);
  ApiHarness api(limits);
  const auto response = api.fetch("POST", "/v1/chat/completions", chat_body(false));
  EXPECT_EQ(response.status, 504);
  EXPECT_TRUE(api.dispatcher.has_left(1));
  EXPECT_EQ(api.meter.settled_count(), 1U);
}

TEST(OpenAiApi, UnjournalledBodyIsNotSent) {
  ApiHarness api;
  api.meter.fail_next_settle(Error(Code::kUnavailable, "journal_failed", "The journal is broken."));
  auto answer = api.post_chat(chat_body(false));
  api.submitted();
  api.dispatch();
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "answer"));
  const auto response = answer.get();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body.find("answer"), std::string::npos);
}

TEST(OpenAiApi, ListsOnlyModelsTheKeyMayCallWithTheirPrice) {
  ApiHarness api({}, {"a-model", "tang-moe"});
  api.principals.add("narrow-key", {"tang-moe"});
  api.meter.set_quote("tang-moe", {"off-peak", "USD", "book/1", "0.022", "0.66", "1.98", 1'795'300'000'000'000});
  const auto all = parsed(api.fetch("GET", "/v1/models").body);
  EXPECT_EQ(all.at("object"), "list");
  EXPECT_EQ(all.at("data").as_array().size(), 2U);
  EXPECT_FALSE(all.at("data").at(0).as_object().contains("pricing")) << "no price, no promise";

  const auto narrow = parsed(api.fetch("GET", "/models", "", {{"Authorization", "bearer narrow-key"}}).body);
  ASSERT_EQ(narrow.at("data").as_array().size(), 1U);
  const json::object& model = narrow.at("data").at(0).as_object();
  EXPECT_EQ(model.at("id"), "tang-moe");
  EXPECT_EQ(model.at("object"), "model");
  EXPECT_EQ(model.at("context_length"), 4'096);
  EXPECT_EQ(model.at("pricing").at("output"), "1.98");
  EXPECT_EQ(api.fetch("GET", "/v1/models/tang-moe").status, 200);
}

}  // namespace
}  // namespace tidegate::gateway::test
