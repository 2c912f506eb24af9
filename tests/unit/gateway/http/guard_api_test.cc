// The policy on content as HTTP clients of every dialect see it, and what it leaves to pay.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "gateway/guard/guard_desk.h"
#include "tests/support/gateway/fake_guard.h"
#include "tests/support/gateway/fake_rate_gate.h"
#include "tests/support/net/raw_client.h"
#include "tests/unit/gateway/http/api_harness.h"
#include "tests/unit/gateway/http/stream_client.h"

namespace tidegate::gateway::test::guard_api_test {
namespace {

struct GuardedApi {
  GuardedApi() {
    api.serving.guard = &desk;
    api.serving.rates = &rates;
  }
  /// One answer of the worker: these pieces, a token each, then the end.
  void answer(std::size_t i, std::initializer_list<const char*> pieces) {
    api.submitted(i);
    api.dispatch(i);
    api.tell(i, accepted_delta(10));
    TokenUsage usage{.prompt = 10};
    for (const char* piece : pieces) {
      usage.completion += 1;
      api.tell(i, text_delta("", piece, usage));
    }
    usage.completion += 1;
    api.tell(i, end_delta(SequenceEnd::kStop, usage));
  }

  MemoryRegistry registry;
  GuardMetrics metrics{registry};
  tidegate::test::LogCapture log;
  SystemClock clock;
  FakeGuard guard;
  GuardDesk desk{guard, {}, metrics, log, clock};
  FakeRateGate rates;
  ApiHarness api;  ///< last: its requests end before what they use
};

/// One request of a dialect that says `words`, without its last brace.
struct Ask {
  const char* path;
  const char* begin;
  const char* end;
  const char* refusal;
};
constexpr Ask kAsks[] = {
    {"/v1/chat/completions", R"({"model":"tang-moe","messages":[{"role":"user","content":")", R"("}])",
     R"("type":"invalid_request_error","param":"messages","code":"content_filter")"},
    {"/v1/completions", R"({"model":"tang-moe","prompt":")", R"(")",
     R"("type":"invalid_request_error","param":"prompt","code":"content_filter")"},
    {"/v1/messages", R"({"model":"tang-moe","max_tokens":9,"messages":[{"role":"user","content":")", R"("}])",
     R"({"type":"error","error":{"type":"invalid_request_error","message":"no","details":{"error_code":"content_filter")"},
    {"/v1/responses", R"({"model":"tang-moe","input":")", R"(")", R"("param":"input","code":"content_filter")"},
};
std::string body_of(const Ask& ask, const std::string& words, const char* ending) {
  return ask.begin + words + ask.end + ending;
}

TEST(GuardApi, ADeniedRequestIs400InEveryDialectBeforeMoneyAndGivesItsTokensBack) {
  GuardedApi guarded;
  for (const Ask& ask : kAsks) {
    for (const char* ending : {"}", R"(,"stream":true})"}) {
      const auto response = guarded.api.fetch("POST", ask.path, body_of(ask, "forbidden", ending));
      EXPECT_EQ(response.status, 400) << ask.path << ending;
      EXPECT_NE(response.body.find(ask.refusal), std::string::npos) << response.body;
      EXPECT_EQ(response.header("x-should-retry"), "false");
    }
  }
  EXPECT_TRUE(guarded.api.meter.entries().empty());
  ASSERT_EQ(guarded.rates.entries().size(), 8U) << "each counts as a request";
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(guarded.rates.entry(i).settled, std::vector<std::int64_t>{0});
    EXPECT_TRUE(eventually([&] { return !guarded.rates.entry(i).is_open; }));
  }
  EXPECT_EQ(guarded.api.dispatcher.submitted_count(), 0U);
  EXPECT_TRUE(eventually([&] {
    return guarded.api.registry.value("tidegate_gateway_refusals_total", {{"reason", "content_policy"}}) == 8;
  }));
}

TEST(GuardApi, WhoIsOverItsLimitsDoesNotMakeThePolicyReadItsText) {
  GuardedApi guarded;
  guarded.rates.refuse_next(Refusal(Error(Code::kResourceExhausted, "rate_limit_exceeded", "m")));
  EXPECT_EQ(guarded.api.fetch("POST", "/v1/chat/completions", chat_body(false)).status, 429);
  EXPECT_TRUE(guarded.guard.seen().empty());
}

TEST(GuardApi, AClientThatLeavesWhileThePolicyIsAskedIsNotWaitedFor) {
  GuardedApi guarded;
  guarded.guard.hang_next_check();
  tidegate::test::RawClient client(guarded.api.server->port());
  const std::string body = chat_body(false);
  ASSERT_TRUE(
      client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer good-key\r\n"
                  "Content-Type: application/json\r\nContent-Length: " +
                  std::to_string(body.size()) + "\r\n\r\n" + body));
  ASSERT_TRUE(eventually([&] { return guarded.guard.hanging() == 1; }));
  EXPECT_EQ(client.read_some(std::chrono::milliseconds(20)), tidegate::test::RawClient::Got::kNothing)
      << "nothing is answered while the policy is asked";
  client.reset();
  EXPECT_TRUE(eventually([&] { return guarded.guard.given_up() == 1; }));
  const Labels admitting{{"phase", "admitting"}};
  EXPECT_TRUE(eventually([&] { return guarded.api.registry.value("tidegate_gateway_cancelled_requests_total", admitting) == 1; }));
  EXPECT_TRUE(guarded.api.meter.entries().empty());
  EXPECT_EQ(guarded.rates.entry(0).settled, std::vector<std::int64_t>{0});
  EXPECT_EQ(guarded.registry.value("tidegate_gateway_guard_failures_total", {{"direction", "input"}}), 0)
      << "that is no failure of the guard";
}

TEST(GuardApi, AClientThatLeavesWhileItsAnswerIsLookedAtStopsTheWorkerAtOnce) {
  GuardedApi guarded;
  auto answer = guarded.api.post_chat(chat_body(true));
  guarded.api.submitted(0);
  guarded.api.dispatch(0);
  guarded.api.tell(0, accepted_delta(10));
  ASSERT_TRUE(eventually([&] { return guarded.guard.seen().size() == 1; }));
  guarded.guard.hang_next_check();
  guarded.api.tell(0, text_delta("", "one ", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return guarded.guard.hanging() == 1; }));
  guarded.api.on_lane([&] {
    if (auto* inbox = dynamic_cast<FlowInbox*>(guarded.api.dispatcher.submitted(0).listener)) inbox->on_client_gone();
  });
  EXPECT_TRUE(eventually([&] { return guarded.api.dispatcher.has_left(1); }));
  ASSERT_TRUE(eventually([&] { return guarded.api.meter.settled_count() == 1; }));
  EXPECT_EQ(guarded.api.meter.entry(0).settled.at(0).usage.completion, 0) << "nothing of it was delivered";
  EXPECT_EQ(guarded.guard.given_up(), 1);
  answer.wait();
}

TEST(GuardApi, AGatewayThatStopsWaitsForNoVerdictOnARequest) {
  GuardedApi guarded;
  guarded.guard.hang_next_check();
  auto answer = guarded.api.post_chat(chat_body(false));
  ASSERT_TRUE(eventually([&] { return guarded.guard.hanging() == 1; }));
  guarded.api.on_lane([&] { guarded.api.open_requests.shut_all(); });
  const auto refused = answer.get();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(code_of(refused), "gateway_stopping");
  EXPECT_EQ(guarded.guard.given_up(), 1);
  EXPECT_EQ(guarded.rates.entry(0).settled, std::vector<std::int64_t>{0});
  EXPECT_TRUE(guarded.api.meter.entries().empty());
}

TEST(GuardApi, AGatewayThatStopsWaitsForNoVerdictOnAnAnswer) {
  GuardedApi guarded;
  auto answer = guarded.api.post_chat(chat_body(true));
  guarded.api.submitted(0);
  guarded.api.dispatch(0);
  guarded.guard.hang_next_check();
  guarded.api.tell(0, text_delta("", "one ", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return guarded.guard.hanging() == 1; }));
  guarded.api.on_lane([&] { guarded.api.open_requests.shut_all(); });
  const auto refused = answer.get();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(code_of(refused), "gateway_stopping");
  EXPECT_TRUE(guarded.api.dispatcher.has_left(1));
  ASSERT_EQ(guarded.api.meter.settled_count(), 1U);
  EXPECT_EQ(guarded.api.meter.entry(0).settled.at(0).usage.completion, 0) << "nothing of it was delivered";
}

TEST(GuardApi, TheWorkerReadsTheMaskedPromptAndItIsTheOneThatIsHeldFor) {
  GuardedApi guarded;
  auto answer = guarded.api.post_chat(R"({"model":"tang-moe","messages":[{"role":"user","content":"my secret"}]})");
  guarded.answer(0, {"ok"});
  ASSERT_EQ(answer.get().status, 200);
  EXPECT_EQ(guarded.api.dispatcher.submitted(0).plan.messages.at(0).content, "my [x]");
  EXPECT_EQ(guarded.api.meter.entry(0).request.prompt_tokens_max, 64 + 8 + 6);
}

TEST(GuardApi, WhereNoRuleIsForAnswersNothingOfThemIsLookedAtOrHeld) {
  GuardedApi guarded;
  guarded.guard.read_no_answers();
  auto answer = guarded.api.post_chat(chat_body(false));
  guarded.answer(0, {"a s", "ecret"});
  EXPECT_NE(answer.get().body.find("a secret"), std::string::npos);
  EXPECT_EQ(guarded.guard.seen().size(), 1U) << "the prompt alone";
}

TEST(GuardApi, EscapesHideNothingInAnAnswerThatIsToBeJson) {
  GuardedApi guarded;
  auto answer = guarded.api.post_chat(
      R"({"model":"tang-moe","messages":[{"role":"user","content":"as json"}],"response_format":{"type":"json_object"}})");
  guarded.answer(0, {R"({"a":"s\u00)", R"(65cret"})"});
  const auto response = answer.get();
  EXPECT_EQ(response.status, 200) << response.body;
  EXPECT_NE(response.body.find("[x]"), std::string::npos) << response.body;
}

TEST(GuardApi, ASecretSplitOverEventsIsMaskedInAStreamAndOutsideOfOne) {
  GuardedApi guarded;
  for (std::size_t i = 0; i < 2; ++i) {
    auto answer = guarded.api.post_chat(chat_body(i == 0));
    guarded.answer(i, {"a s", "ecr", "et!"});
    const auto response = answer.get();
    EXPECT_EQ(response.status, 200);
    EXPECT_NE(response.body.find("[x]!"), std::string::npos) << response.body;
    EXPECT_EQ(response.body.find("ecr"), std::string::npos);
    EXPECT_EQ(guarded.api.meter.entry(i).settled.at(0).usage.completion, 4);
    EXPECT_EQ(guarded.api.meter.entry(i).settled.at(0).outcome, Outcome::kCompleted);
  }
}

TEST(GuardApi, ADeniedAnswerEndsInItsDialectsWordsAndChargesWhatWasDelivered) {
  GuardedApi guarded;
  const char* ends[] = {R"("finish_reason":"content_filter")", R"("finish_reason":"content_filter")",
                        R"("stop_reason":"refusal")", R"("incomplete_details":{"reason":"content_filter"})"};
  std::size_t n = 0;
  for (std::size_t dialect = 0; dialect < std::size(kAsks); ++dialect) {
    for (const char* ending : {"}", R"(,"stream":true})"}) {
      auto answer = guarded.api.post(kAsks[dialect].path, body_of(kAsks[dialect], "hi", ending));
      guarded.api.submitted(n);
      guarded.api.dispatch(n);
      guarded.api.tell(n, accepted_delta(10));
      guarded.api.tell(n, text_delta("", "so far for", {.prompt = 10, .completion = 3}));
      guarded.api.tell(n, text_delta("", "bidden", {.prompt = 10, .completion = 7}));
      const auto response = answer.get();
      EXPECT_EQ(response.status, 200) << response.body;
      EXPECT_NE(response.body.find(ends[dialect]), std::string::npos) << response.body;
      EXPECT_NE(response.body.find("so far "), std::string::npos) << response.body;
      EXPECT_EQ(response.body.find("forb"), std::string::npos) << response.body;
      EXPECT_EQ(response.body.find("bidden"), std::string::npos) << response.body;
      const auto settled = guarded.api.meter.entry(n).settled.at(0);
      EXPECT_EQ(settled.finish_reason, "content_filter");
      EXPECT_EQ(settled.usage.prompt, 10);
      EXPECT_LE(settled.usage.completion, 3) << "the denied tokens are not charged";
      EXPECT_TRUE(eventually([&] { return guarded.api.dispatcher.has_left(n + 1); })) << "the worker stops";
      ++n;
    }
  }
  const Labels answered{{"model", "tang-moe"}, {"surface", "http.chat"}, {"status", "200"}};
  EXPECT_TRUE(eventually([&] { return guarded.api.registry.value("tidegate_gateway_requests_total", answered) == 2; }));
}

TEST(GuardApi, WithoutAVerdictARequestIs503AndNothingIsHeld) {
  GuardedApi guarded;
  guarded.guard.fail_next_check(Error(Code::kDeadlineExceeded, "rpc_deadline_exceeded", "m"));
  const auto response = guarded.api.fetch("POST", "/v1/chat/completions", chat_body(false));
  EXPECT_EQ(response.status, 503);
  EXPECT_NE(response.body.find("guard_unavailable"), std::string::npos);
  EXPECT_NE(response.header("Retry-After"), "");
  EXPECT_TRUE(guarded.api.meter.entries().empty());
}

TEST(GuardApi, AGuardThatFailsMidStreamCutsItWithAnErrorAndTheDeliveredIsCharged) {
  GuardedApi guarded;
  StreamClient client(guarded.api, chat_body(true));
  guarded.api.submitted();
  guarded.api.dispatch();
  guarded.api.tell(0, accepted_delta(10));
  guarded.api.tell(0, text_delta("", "one ", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("one "); }));
  guarded.guard.fail_next_check(Error(Code::kUnavailable, "rpc_unavailable", "m"));
  guarded.api.tell(0, text_delta("", "two ", {.prompt = 10, .completion = 2}));
  ASSERT_TRUE(client.wait());
  EXPECT_TRUE(client.saw("guard_unavailable")) << client.text();
  EXPECT_FALSE(client.saw("two "));
  EXPECT_FALSE(client.saw("[DONE]"));
  ASSERT_TRUE(eventually([&] { return guarded.api.meter.settled_count() == 1; }));
  EXPECT_EQ(guarded.api.meter.entry(0).settled.at(0).usage.completion, 1);
  EXPECT_TRUE(eventually([&] { return guarded.api.dispatcher.has_left(1); }));
}

TEST(GuardApi, ARetryForgetsWhatTheLostWorkerSaid) {
  GuardedApi guarded;
  auto answer = guarded.api.post_chat(chat_body(false));
  guarded.api.submitted(0);
  guarded.api.dispatch(0);
  guarded.api.tell(0, accepted_delta(10));
  guarded.api.tell(0, text_delta("", "sec", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return guarded.guard.seen().size() == 2; })) << "the prompt, and the held piece";
  guarded.api.on_lane([&] { guarded.api.dispatcher.submitted(0).listener->on_worker_lost(); });
  guarded.answer(1, {"ond"});
  const auto response = answer.get();
  EXPECT_EQ(response.status, 200);
  EXPECT_NE(response.body.find(R"("content":"ond")"), std::string::npos) << response.body;
}

TEST(GuardApi, LogProbabilitiesWouldTellWhatIsHeldBackAndAreRefused) {
  GuardedApi guarded;
  const auto refused = guarded.api.fetch("POST", "/v1/chat/completions", chat_body(false, R"(,"logprobs":true)"));
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find(R"("param":"logprobs")"), std::string::npos) << refused.body;
  EXPECT_TRUE(guarded.api.meter.entries().empty());
}

TEST(GuardApi, WhatIsDeniedInOneAnswerEndsThoseThatGoOn) {
  GuardedApi guarded;
  ApiHarness& api = guarded.api;
  auto answer = api.post_chat(chat_body(false, R"(,"n":3)"));
  const auto request = api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  const auto said = [](std::int32_t choice, const char* text, std::int64_t completion) {
    SequenceDelta delta = text_delta("", text, {.prompt = 10, .completion = completion});
    delta.choice = choice;
    return delta;
  };
  SequenceDelta whole = said(0, "fine.", 1);
  whole.choice_end = SequenceEnd::kStop;
  api.tell(0, whole);
  ASSERT_TRUE(eventually([&] { return guarded.guard.seen().size() >= 2; }));
  api.tell(0, said(1, "a forbidden word", 2));
  const auto response = answer.get();
  ASSERT_EQ(response.status, 200) << response.body;
  const auto first = response.body.find(R"("finish_reason":"stop")");
  const auto second = response.body.find(R"("finish_reason":"content_filter")", first);
  ASSERT_NE(second, std::string::npos) << response.body;
  EXPECT_NE(response.body.find(R"("finish_reason":"content_filter")", second + 1), std::string::npos) << "the third too";
  EXPECT_EQ(response.body.find("forbidden"), std::string::npos);
  EXPECT_TRUE(api.dispatcher.has_left(request.ticket)) << "the worker is told to stop";
}

}  // namespace
}  // namespace tidegate::gateway::test::guard_api_test
