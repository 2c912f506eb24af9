#include <gtest/gtest.h>

#include <vector>

#include "base/json/json.h"
#include "base/net/sse.h"
#include "tests/support/counted.h"
#include "tests/unit/gateway/http/api_harness.h"
#include "tests/unit/gateway/http/stream_client.h"

namespace tidegate::gateway::test {
namespace {

/// The JSON events of a whole stream; "[DONE]" ends it.
struct Events {
  std::vector<json::value> all;
  bool done = false;
};
Events events_of(const std::string& body) {
  Events events;
  sse::Parser parser([&](const sse::Parser::Event& event) {
    if (event.data == "[DONE]") {
      events.done = true;
    } else {
      events.all.push_back(json::parse(event.data).value());
    }
  });
  EXPECT_TRUE(parser.feed(body));
  return events;
}

TEST(OpenAiStream, RunsFromRoleToDone) {
  ApiHarness api;
  StreamClient client(api, chat_body(true, R"(,"stream_options":{"include_usage":true})"));
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, text_delta("hm", "", {.prompt = 10, .completion = 1, .reasoning = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("reasoning_content"); })) << "text leaves at once";
  api.tell(0, text_delta("", "Hi", {.prompt = 10, .completion = 2, .reasoning = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("Hi"); }));
  api.tell(0, end_delta(SequenceEnd::kLength, {.prompt = 10, .completion = 3, .reasoning = 1}, "!"));
  const auto response = client.wait();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->header("Content-Type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(response->header("X-Accel-Buffering"), "no");
  EXPECT_EQ(response->header("x-tidegate-price-band"), "off-peak");

  const Labels pool{{"model", "tang-moe"}, {"region", "local"}, {"pool", "cpu"}};
  EXPECT_EQ(tidegate::test::counted(api.registry, 1, "tidegate_gateway_inter_token_seconds", pool), 1);

  const Events events = events_of(client.text());
  EXPECT_TRUE(events.done);
  ASSERT_EQ(events.all.size(), 6U);
  EXPECT_EQ(events.all[0].at("choices").at(0).at("delta").at("role"), "assistant");
  EXPECT_EQ(events.all[1].at("choices").at(0).at("delta").at("reasoning_content"), "hm");
  EXPECT_EQ(events.all[2].at("choices").at(0).at("delta").at("content"), "Hi");
  EXPECT_EQ(events.all[3].at("choices").at(0).at("delta").at("content"), "!");
  EXPECT_EQ(events.all[4].at("choices").at(0).at("finish_reason"), "length");
  EXPECT_TRUE(events.all[4].at("usage").is_null());
  EXPECT_EQ(events.all[5].at("usage").at("total_tokens"), 13);
  for (const auto& event : events.all) EXPECT_EQ(event.at("id"), events.all[0].at("id"));

  const auto entry = api.meter.entry(0);
  EXPECT_EQ(entry.progress.size(), 2U) << "before each delivery; the end is covered by FINAL";
  EXPECT_EQ(entry.settled.at(0).usage.completion, 3);
}

/// What a client asks to see must not change what it pays.
TEST(OpenAiStream, UsageIsTheSameStreamedOrNotAskedForOrNot) {
  ApiHarness api;
  const TokenUsage usage{.prompt = 10, .cached = 4, .completion = 5, .reasoning = 2};
  const std::string bodies[] = {chat_body(true, R"(,"stream_options":{"include_usage":true})"), chat_body(true),
                                chat_body(false)};
  std::vector<std::string> answers;
  for (std::size_t i = 0; i < 3; ++i) {
    StreamClient client(api, bodies[i]);
    api.submitted(i);
    api.dispatch(i);
    api.tell(i, accepted_delta(10, 4));
    api.tell(i, text_delta("hm", "", {.prompt = 10, .cached = 4, .completion = 2, .reasoning = 2}));
    api.tell(i, end_delta(SequenceEnd::kStop, usage, "Hi"));
    ASSERT_TRUE(client.wait());
    answers.push_back(client.text());
    ASSERT_EQ(api.meter.entry(i).settled.size(), 1U);
    EXPECT_EQ(api.meter.entry(i).settled[0].usage, usage);
  }
  const Events streamed = events_of(answers[0]);
  const auto whole = json::parse(answers[2]);
  ASSERT_TRUE(whole) << answers[2];
  EXPECT_EQ(json::serialize(streamed.all.back().at("usage")), json::serialize(whole->at("usage")));
}

TEST(OpenAiStream, AMebibyteOfPromptIsStreamedLikeAnyOther) {
  ApiHarness api;
  const std::string words(1 << 20, 'w');
  const std::string start = R"({"model":"tang-moe","stream":true,"messages":[{"role":"user","content":")";
  StreamClient client(api, start + words + R"("}]})");
  EXPECT_EQ(api.submitted().plan.messages.at(0).content.size(), words.size());
  api.dispatch();
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 1}, "x"));
  const auto response = client.wait();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 200);
  EXPECT_TRUE(events_of(client.text()).done);
}

TEST(OpenAiStream, ClientThatLeavesMidStreamStopsTheWorkerAndPaysWhatItGot) {
  ApiHarness api;
  StreamClient client(api, chat_body(true));
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
  const auto settled = api.meter.entry(0).settled.at(0);
  EXPECT_EQ(settled.outcome, Outcome::kCancelled);
  EXPECT_EQ(settled.usage.completion, 2);
  EXPECT_EQ(settled.finish_reason, "cancelled");
  ASSERT_TRUE(eventually([&] { return api.log.has("request"); }));
  EXPECT_EQ(
      tidegate::test::counted(api.registry, 1, "tidegate_gateway_cancelled_requests_total", {{"phase", "streaming"}}),
      1);
}

TEST(OpenAiStream, ClientThatLeavesTheQueueCostsNothing) {
  ServingLimits limits;
  limits.keep_alive = std::chrono::milliseconds(20);
  ApiHarness api(limits);
  StreamClient client(api, chat_body(true));
  const auto request = api.submitted();
  client.leave_at_next_byte();  // a keep-alive comment
  client.wait();
  ASSERT_TRUE(eventually([&] { return api.dispatcher.has_left(request.ticket); }));
  ASSERT_TRUE(eventually([&] { return api.meter.settled_count() == 1; }));
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage, TokenUsage{});
}

TEST(OpenAiStream, WaitingStreamGetsKeepAliveComments) {
  ServingLimits limits;
  limits.keep_alive = std::chrono::milliseconds(10);
  ApiHarness api(limits);
  StreamClient client(api, chat_body(true));
  api.submitted();
  ASSERT_TRUE(eventually([&] { return client.saw(": keep-alive\n\n: keep-alive\n\n"); }));
  api.dispatch();
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 1}, "x"));
  ASSERT_TRUE(client.wait());
  EXPECT_TRUE(events_of(client.text()).done);
}

TEST(OpenAiStream, AnErrorWhileItWaitsIsAFrameBehindTheComments) {
  ServingLimits limits;
  limits.keep_alive = std::chrono::milliseconds(10);
  ApiHarness api(limits);
  StreamClient client(api, chat_body(true));
  api.submitted();
  ASSERT_TRUE(eventually([&] { return client.saw(": keep-alive\n\n"); }));
  api.on_lane([&] {
    api.dispatcher.submitted(0).listener->on_queue_refused(Error(Code::kResourceExhausted, "queue_timeout", "m"));
  });
  const auto response = client.wait();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 200) << "it had left";
  const Events events = events_of(client.text());
  EXPECT_FALSE(events.done);
  ASSERT_EQ(events.all.size(), 1U);
  const json::object& error = events.all[0].at("error").as_object();
  for (const char* member : {"message", "type", "param", "code"}) EXPECT_TRUE(error.contains(member)) << member;
}

TEST(OpenAiStream, AnAnswerWithoutTextStillHasItsRoleAndOneFinish) {
  ApiHarness api;
  StreamClient client(api, chat_body(true));
  api.submitted();
  api.dispatch();
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(client.wait());
  const Events events = events_of(client.text());
  EXPECT_TRUE(events.done);
  ASSERT_EQ(events.all.size(), 2U);
  EXPECT_EQ(events.all[0].at("choices").at(0).at("delta").at("role"), "assistant");
  EXPECT_EQ(events.all[1].at("choices").at(0).at("finish_reason"), "stop");
  for (const auto& event : events.all) EXPECT_EQ(event.at("choices").at(0).at("index"), 0);
}

// A silent connection is closed by middle boxes, and a status that has left cannot be taken back.
TEST(OpenAiBody, SilenceBecomesBlankLinesOnceAWorkerRunsTheRequest) {
  ServingLimits limits;
  limits.keep_alive = std::chrono::milliseconds(10);
  limits.blank_lines_after = std::chrono::milliseconds(0);
  ApiHarness api(limits);
  StreamClient client(api, chat_body(false));
  api.submitted();
  ASSERT_TRUE(eventually([&] { return api.registry.value("tidegate_gateway_keep_alives_total") >= 3; }));
  EXPECT_EQ(client.text(), "") << "queued: an error is still likelier than an answer";
  api.dispatch();
  api.tell(0, accepted_delta(10));
  ASSERT_TRUE(eventually([&] { return client.saw("\n\n"); }));
  api.tell(0, text_delta("", "Hel", {.prompt = 10, .completion = 1}));
  const std::size_t before = client.text().size();
  ASSERT_TRUE(eventually([&] { return client.text().size() > before + 1; })) << "collecting text is silence too";
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 2}, "lo"));
  const auto response = client.wait();
  ASSERT_TRUE(response) << response.error().to_string();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->header("Content-Type"), "application/json");
  const auto body = json::parse(client.text());
  ASSERT_TRUE(body) << client.text();
  EXPECT_EQ(body->at("choices").at(0).at("message").at("content"), "Hello");
}

TEST(OpenAiBody, NoBlankLineBeforeItsTime) {
  ServingLimits limits;
  limits.keep_alive = std::chrono::milliseconds(10);
  ApiHarness api(limits);
  StreamClient client(api, chat_body(false));
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  const double before = api.registry.value("tidegate_gateway_keep_alives_total");
  ASSERT_TRUE(eventually([&] { return api.registry.value("tidegate_gateway_keep_alives_total") >= before + 3; }));
  EXPECT_EQ(client.text(), "");
  api.on_lane([&] {
    SequenceDelta failed;
    failed.end = SequenceEnd::kError;
    failed.error = Error(Code::kUnavailable, "worker_failed", "m");
    api.dispatcher.submitted(0).listener->on_delta(std::move(failed));
  });
  const auto response = client.wait();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 503);
}

TEST(OpenAiBody, AnErrorAfterBlankLinesCannotPassForAnAnswer) {
  ServingLimits limits;
  limits.keep_alive = std::chrono::milliseconds(10);
  limits.blank_lines_after = std::chrono::milliseconds(0);
  ApiHarness api(limits);
  StreamClient client(api, chat_body(false));
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  ASSERT_TRUE(eventually([&] { return client.saw("\n"); }));
  SequenceDelta failed;
  failed.end = SequenceEnd::kError;
  failed.error = Error(Code::kInternal, "numeric_fault", "m");
  api.tell(0, std::move(failed));
  EXPECT_FALSE(client.wait()) << "a body without its end";
  EXPECT_TRUE(client.saw(R"({"error":{"message":)")) << client.text();
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage, TokenUsage{}) << "and it costs nothing";
}

TEST(OpenAiStream, WorkerLostMidStreamIsAnErrorFrameAndNoDone) {
  ApiHarness api;
  StreamClient client(api, chat_body(true));
  api.submitted();
  api.dispatch();
  api.tell(0, accepted_delta(10));
  api.tell(0, text_delta("", "one", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("one"); }));
  api.on_lane([&] { api.dispatcher.submitted(0).listener->on_worker_lost(); });
  ASSERT_TRUE(client.wait());
  const Events events = events_of(client.text());
  EXPECT_FALSE(events.done);
  EXPECT_EQ(events.all.back().at("error").at("code"), "worker_lost");
  EXPECT_EQ(api.meter.entry(0).settled.at(0).outcome, Outcome::kFailed);
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage.completion, 1);
}

TEST(OpenAiStream, ErrorBeforeTheFirstByteIsARealStatus) {
  ApiHarness api;
  StreamClient client(api, chat_body(true));
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

TEST(OpenAiStream, UnjournalledEndIsAnErrorFrame) {
  ApiHarness api;
  api.meter.fail_next_settle(Error(Code::kUnavailable, "journal_failed", "The journal is broken."));
  StreamClient client(api, chat_body(true));
  api.submitted();
  api.dispatch();
  api.tell(0, text_delta("", "one", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("one"); }));
  api.tell(0, end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 2}));
  ASSERT_TRUE(client.wait());
  const Events events = events_of(client.text());
  EXPECT_FALSE(events.done);
  EXPECT_FALSE(client.saw(R"("finish_reason":"stop")"));
  EXPECT_EQ(events.all.back().at("error").at("code"), "journal_failed");
}

TEST(OpenAiStream, ShutdownEndsOpenStreamsWithAnErrorFrame) {
  ApiHarness api;
  StreamClient client(api, chat_body(true));
  api.submitted();
  api.dispatch();
  api.tell(0, text_delta("", "one", {.prompt = 10, .completion = 1}));
  ASSERT_TRUE(eventually([&] { return client.saw("one"); }));
  api.on_lane([&] { api.open_requests.shut_all(); });
  ASSERT_TRUE(client.wait());
  EXPECT_EQ(events_of(client.text()).all.back().at("error").at("code"), "gateway_stopping");
  EXPECT_EQ(api.meter.entry(0).settled.at(0).usage.completion, 1);
}

TEST(OpenAiStream, EventsThatComeTogetherLeaveTogether) {
  ApiHarness api;
  StreamClient client(api, chat_body(true));
  api.submitted();
  api.on_lane([&] {
    auto* listener = api.dispatcher.submitted(0).listener;
    listener->on_dispatched(fake_worker());
    listener->on_delta(accepted_delta(10));
    listener->on_delta(text_delta("a", "", {.prompt = 10, .completion = 1}));
    listener->on_delta(text_delta("b", "c", {.prompt = 10, .completion = 3}));
    listener->on_delta(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 4}, "d"));
  });
  ASSERT_TRUE(client.wait());
  const Events events = events_of(client.text());
  ASSERT_EQ(events.all.size(), 4U);
  EXPECT_EQ(events.all[1].at("choices").at(0).at("delta").at("reasoning_content"), "ab");
  EXPECT_EQ(events.all[2].at("choices").at(0).at("delta").at("content"), "cd");
  EXPECT_EQ(api.meter.entry(0).accepted.size(), 1U);
}

}  // namespace
}  // namespace tidegate::gateway::test
