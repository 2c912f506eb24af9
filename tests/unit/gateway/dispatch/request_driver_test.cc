#include "gateway/dispatch/request_driver.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "base/net/signal.h"
#include "gateway/guard/guard_desk.h"
#include "tests/support/gateway/fake_dispatcher.h"
#include "tests/support/gateway/fake_guard.h"
#include "tests/support/gateway/fake_meter.h"
#include "tests/support/log_capture.h"

// Events that are delivered from where they came in, without the request's coroutine, and where that hands over to it.
namespace tidegate::gateway::test {
namespace {

/// A client that takes as much as the test says.
struct FakeSink final : AnswerSink {
  explicit FakeSink(Executor executor) : is_free(std::move(executor)) {}
  void on_admitted(std::string_view) override {}
  void on_dispatched(const WorkerFacts&) override {}
  void on_accepted(const TokenUsage&) override { ++accepted; }
  awaitable<Status> deliver(AnswerPart part) override {
    take(part);
    ++delivered_later;
    co_return Status();
  }
  bool can_deliver_now() const override { return is_ready; }
  Delivery deliver_now(AnswerPart part) override {
    take(part);
    ++delivered_now;
    return next;
  }
  awaitable<Status> flush() override {
    ++flushes;
    co_await is_free.wait();
    co_return Status();
  }
  awaitable<Status> keep_alive() override { co_return Status(); }
  awaitable<Status> finish(AnswerEnd end) override {
    text += end.content;
    logprobs += end.logprobs.size();
    is_finished = true;
    co_return Status();
  }
  awaitable<Status> refuse(Refusal refusal) override {
    refused = refusal.error.reason;
    co_return Status();
  }

  void take(const AnswerPart& part) {
    if (part.choice > 0) text += std::to_string(part.choice) + ':';
    text += part.reasoning + part.content;
    if (!part.finish_reason.empty()) text += '[' + part.finish_reason + ']';
    logprobs += part.logprobs.size();
  }

  bool is_ready = true;
  Delivery next = Delivery::kDone;
  Event is_free;
  std::string text, refused;
  std::size_t logprobs = 0;
  int accepted = 0;
  int delivered_now = 0;
  int delivered_later = 0;
  int flushes = 0;
  bool is_finished = false;
};

struct FakeFence final : ChargeFence {
  awaitable<Status> before_charge() override {
    ++asked;
    co_return Status();
  }
  int asked = 0;
};

struct DriverTest : testing::Test {
  RequestContext request(bool is_stream, ChargeFence* fence = nullptr) {
    RequestContext asked;
    asked.surface = "http.chat";
    asked.principal = std::make_shared<Principal>();
    asked.plan.response_format = format;
    asked.plan.model = "tang-moe";
    asked.plan.is_stream = is_stream;
    asked.plan.sampling.n = choices;
    asked.received = clock.mono();
    asked.fence = fence;
    return asked;
  }
  void begin(bool is_stream = true, ChargeFence* fence = nullptr) {
    driver.emplace(serving, request(is_stream, fence), sink, context.get_executor());
    asio::co_spawn(context, driver->run(), [this](std::exception_ptr) { is_over = true; });
    turn();
    listener().on_dispatched(fake_worker());
    turn();
  }
  /// Whatever can go on goes on.
  void turn() {
    context.restart();
    context.poll();
  }
  SequenceListener& listener() { return *dispatcher.submitted(0).listener; }
  static SequenceDelta text(const std::string& content, std::int64_t completion) {
    return text_delta("", content, {.prompt = 10, .completion = completion});
  }

  asio::io_context context{1};
  SystemClock clock;
  tidegate::test::LogCapture log;
  MemoryRegistry registry;
  FakeMeter meter;
  FakeDispatcher dispatcher;
  OpenRequests open_requests;
  GatewayMetrics metrics{registry};
  Serving serving{meter, dispatcher, open_requests, clock, log, metrics, {}};
  FakeSink sink{context.get_executor()};
  std::optional<RequestDriver> driver;
  std::int32_t choices = 1;
  PlanFormat format;
  bool is_over = false;
};

TEST_F(DriverTest, AnEventInTheMiddleIsDeliveredBeforeItsTurnEnds) {
  begin();
  listener().on_delta(accepted_delta(10));
  EXPECT_EQ(sink.accepted, 1);
  listener().on_delta(text("a", 1));
  listener().on_delta(text("b", 2));
  EXPECT_EQ(sink.text, "ab") << "no coroutine has run";
  EXPECT_EQ(sink.delivered_now, 2);
  EXPECT_EQ(meter.entry(0).progress.size(), 2U) << "counted before it left";
  listener().on_delta(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 3}, "c"));
  EXPECT_FALSE(sink.is_finished) << "the end waits for the journal";
  turn();
  EXPECT_TRUE(sink.is_finished);
  EXPECT_EQ(sink.text, "abc");
  EXPECT_EQ(meter.entry(0).settled.at(0).usage.completion, 3);
  EXPECT_TRUE(is_over);
}

TEST_F(DriverTest, WhileASlowClientIsWaitedForTextWaitsInItsOrder) {
  begin();
  listener().on_delta(accepted_delta(10));
  sink.next = Delivery::kHeldUp;
  listener().on_delta(text("a", 1));
  listener().on_delta(text("b", 2));
  EXPECT_EQ(sink.text, "a");
  turn();
  EXPECT_EQ(sink.flushes, 1);
  listener().on_delta(text("c", 3));
  turn();
  EXPECT_EQ(sink.text, "a");
  sink.next = Delivery::kDone;
  sink.is_free.set();
  turn();
  EXPECT_EQ(sink.text, "abc");
  EXPECT_EQ(sink.delivered_later, 1) << "what came meanwhile, in one piece";
  listener().on_delta(text("d", 4));
  EXPECT_EQ(sink.text, "abcd");
  EXPECT_EQ(sink.delivered_now, 2) << "and so on as before";
  listener().on_delta(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 4}));
  turn();
  EXPECT_TRUE(is_over);
}

TEST_F(DriverTest, AClientThatIsGonePaysWhatItWasHandedAndStopsTheWorker) {
  begin();
  listener().on_delta(accepted_delta(10));
  listener().on_delta(text("a", 1));
  sink.next = Delivery::kFailed;
  listener().on_delta(text("b", 2));
  turn();
  EXPECT_TRUE(is_over);
  ASSERT_EQ(meter.settled_count(), 1U);
  EXPECT_EQ(meter.entry(0).settled.at(0).outcome, Outcome::kCancelled);
  EXPECT_EQ(meter.entry(0).settled.at(0).usage.completion, 2);
  EXPECT_EQ(dispatcher.left().size(), 1U);
}

TEST_F(DriverTest, AClientThatLeavesWhileItsTextIsHeldUpIsSettledOnce) {
  begin();
  listener().on_delta(accepted_delta(10));
  sink.next = Delivery::kHeldUp;
  listener().on_delta(text("a", 1));
  driver->inbox().on_client_gone();
  turn();
  EXPECT_TRUE(is_over);
  EXPECT_EQ(meter.settled_count(), 1U);
  EXPECT_EQ(meter.entry(0).settled.at(0).outcome, Outcome::kCancelled);
}

TEST_F(DriverTest, TheFirstTextOfAFencedRequestWaitsForTheFence) {
  FakeFence fence;
  begin(true, &fence);
  listener().on_delta(accepted_delta(10));
  listener().on_delta(text("a", 1));
  EXPECT_EQ(sink.text, "") << "nothing is handed over before the fence was asked";
  turn();
  EXPECT_EQ(fence.asked, 1);
  EXPECT_EQ(sink.text, "a");
  listener().on_delta(text("b", 2));
  EXPECT_EQ(sink.text, "ab") << "asked once";
  listener().on_delta(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 2}));
  turn();
  EXPECT_EQ(fence.asked, 1);
  EXPECT_TRUE(is_over);
}

TEST_F(DriverTest, AWorkerThatLosesCountIsStoppedAndSettledByTheCoroutine) {
  begin();
  listener().on_delta(accepted_delta(10));
  listener().on_delta(text("ab", 2));
  listener().on_delta(text("c", 1));
  EXPECT_EQ(meter.settled_count(), 0U);
  turn();
  EXPECT_TRUE(is_over);
  EXPECT_EQ(sink.refused, "usage_lost");
  EXPECT_EQ(sink.text, "ab");
  EXPECT_EQ(meter.entry(0).settled.at(0).usage.completion, 2);
  EXPECT_EQ(dispatcher.left().size(), 1U);
}

/// `choice` has said `content`, and ends if it has an end.
SequenceDelta choice_text(std::int32_t choice, std::string content, std::int64_t completion,
                          std::optional<SequenceEnd> end = std::nullopt) {
  SequenceDelta delta = text_delta("", std::move(content), {.prompt = 10, .completion = completion});
  delta.choice = choice;
  delta.choice_end = end;
  return delta;
}

TEST_F(DriverTest, OfSeveralAnswersTextIsDeliveredAtOnceAndAnEndByTheCoroutine) {
  choices = 2;
  begin();
  listener().on_delta(accepted_delta(10));
  listener().on_delta(choice_text(0, "a", 1));
  listener().on_delta(choice_text(1, "b", 2));
  EXPECT_EQ(sink.text, "a1:b") << "no coroutine has run";
  EXPECT_EQ(sink.delivered_now, 2);
  listener().on_delta(choice_text(1, "c", 3, SequenceEnd::kLength));
  listener().on_delta(choice_text(0, "d", 4));
  EXPECT_EQ(sink.text, "a1:b") << "what follows the end waits behind it";
  turn();
  EXPECT_EQ(sink.text, "a1:b1:c[length]d");
  SequenceDelta last = choice_text(0, "e", 5, SequenceEnd::kStop);
  last.end = SequenceEnd::kStop;
  listener().on_delta(std::move(last));
  turn();
  EXPECT_TRUE(sink.is_finished);
  EXPECT_EQ(meter.entry(0).settled.at(0).usage.completion, 5);
  EXPECT_TRUE(is_over);
}

TEST_F(DriverTest, TextOfAnAnswerThatIsNoneOfTheRequestsOrHasEndedIsTheWorkersFault) {
  choices = 2;
  begin();
  listener().on_delta(accepted_delta(10));
  listener().on_delta(choice_text(1, "b", 1, SequenceEnd::kStop));
  turn();
  listener().on_delta(choice_text(1, "more", 2));
  turn();
  EXPECT_TRUE(is_over);
  EXPECT_EQ(sink.text, "1:b[stop]");
  EXPECT_EQ(sink.refused, "bad_choice");
  EXPECT_EQ(dispatcher.left().size(), 1U);
}

TEST_F(DriverTest, AStreamThatIsNotTheFormatEndsInAnErrorAndCostsWhatWasHandedOver) {
  format.kind = FormatKind::kJsonObject;
  begin();
  listener().on_delta(accepted_delta(10));
  listener().on_delta(text("{\"secret\":", 2));
  EXPECT_EQ(sink.text, "{\"secret\":") << "at once, as any other";
  listener().on_delta(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 5}, "1"));
  turn();
  EXPECT_TRUE(is_over);
  EXPECT_FALSE(sink.is_finished);
  EXPECT_EQ(sink.refused, "answer_breaks_format");
  EXPECT_EQ(sink.text, "{\"secret\":") << "the text of the end is not handed over";
  ASSERT_EQ(meter.settled_count(), 1U);
  EXPECT_EQ(meter.entry(0).settled.at(0).outcome, Outcome::kFailed);
  EXPECT_EQ(meter.entry(0).settled.at(0).usage.completion, 2);
  EXPECT_EQ(log.count("answer_breaks_format"), 1U);
  EXPECT_TRUE(log.mentions("worker-1"));
  EXPECT_FALSE(log.mentions("secret"));
  EXPECT_EQ(registry.value("tidegate_gateway_refusals_total", {{"reason", "answer_breaks_format"}}), 1);
}

TEST_F(DriverTest, AWholeAnswerThatIsNotTheFormatIsAnErrorAndCostsNothing) {
  format = {FormatKind::kJsonSchema, "x", R"({"type":"object","required":["a"]})", true};
  begin(false);
  listener().on_delta(accepted_delta(10));
  listener().on_delta(text("{", 1));
  listener().on_delta(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 2}, "}"));
  turn();
  EXPECT_TRUE(is_over);
  EXPECT_FALSE(sink.is_finished);
  EXPECT_EQ(sink.refused, "answer_breaks_format");
  EXPECT_EQ(meter.entry(0).settled.at(0).usage, TokenUsage());
}

TEST_F(DriverTest, AnAnswerThatIsTheFormatEndsAsAnyOther) {
  format.kind = FormatKind::kJsonObject;
  begin();
  listener().on_delta(accepted_delta(10));
  sink.is_ready = false;
  listener().on_delta(text("{", 1));
  turn();
  sink.is_ready = true;
  listener().on_delta(text("\"a\":", 2));
  listener().on_delta(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 3}, "1}"));
  turn();
  EXPECT_TRUE(sink.is_finished) << sink.refused;
  EXPECT_EQ(sink.text, "{\"a\":1}");
  EXPECT_EQ(meter.entry(0).settled.at(0).usage.completion, 3);
}

TEST_F(DriverTest, OneOfSeveralAnswersThatIsNotTheFormatStopsTheWorker) {
  format.kind = FormatKind::kJsonObject;
  choices = 2;
  begin();
  listener().on_delta(accepted_delta(10));
  listener().on_delta(choice_text(0, "{", 1));
  listener().on_delta(choice_text(1, "no", 2, SequenceEnd::kStop));
  turn();
  EXPECT_TRUE(is_over);
  EXPECT_EQ(sink.refused, "answer_breaks_format");
  EXPECT_EQ(sink.text, "{");
  EXPECT_EQ(dispatcher.left().size(), 1U);
}

TEST_F(DriverTest, WhatALostWorkerSaidIsNoPartOfTheFormat) {
  format.kind = FormatKind::kJsonObject;
  begin(false);
  listener().on_delta(accepted_delta(10));
  listener().on_delta(text("{", 1));
  listener().on_worker_lost();
  turn();
  SequenceListener& second = *dispatcher.submitted(1).listener;
  second.on_dispatched(fake_worker());
  second.on_delta(accepted_delta(10));
  second.on_delta(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 1}, "{}"));
  turn();
  EXPECT_TRUE(sink.is_finished) << sink.refused;
}

TEST_F(DriverTest, WhatAPolicyMakesOfAnAnswerBreaksNoPromise) {
  FakeGuard guard;
  GuardMetrics guard_metrics(registry);
  GuardDesk desk(guard, GuardPolicy(), guard_metrics, log, clock);
  serving.guard = &desk;
  format = {FormatKind::kJsonSchema, "x", R"({"properties":{"a":{"enum":["secret"]}}})", true};
  begin();
  listener().on_delta(accepted_delta(10));
  listener().on_delta(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 3}, R"({"a":"secret"})"));
  turn();
  EXPECT_TRUE(sink.is_finished) << sink.refused;
  EXPECT_EQ(sink.text, R"({"a":"[x]"})");
}

TEST_F(DriverTest, LogProbabilitiesLeaveWithTheTextThatComesAfterThem) {
  begin();
  listener().on_delta(accepted_delta(10));
  SequenceDelta half = text("", 1);
  half.logprobs.resize(1);
  listener().on_delta(std::move(half));
  EXPECT_EQ(sink.logprobs, 0U) << "of half a character: its text is yet to come";
  SequenceDelta whole = text("é", 2);
  whole.logprobs.resize(1);
  listener().on_delta(std::move(whole));
  EXPECT_EQ(sink.logprobs, 2U);
  EXPECT_EQ(sink.delivered_later, 0);
  listener().on_delta(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 2}));
  turn();
  EXPECT_TRUE(is_over);
}

TEST_F(DriverTest, WhatAPolicyOnContentCannotReadIsRefusedBeforeAnythingIsHeld) {
  FakeGuard guard;
  GuardMetrics guard_metrics(registry);
  GuardDesk desk(guard, GuardPolicy(), guard_metrics, log, clock);
  serving.guard = &desk;
  const auto refused = [&](auto change) {
    RequestContext asked = request(false);
    change(asked.plan);
    driver.emplace(serving, std::move(asked), sink, context.get_executor());
    asio::co_spawn(context, driver->run(), [](std::exception_ptr) {});
    turn();
    return std::exchange(sink.refused, {});
  };
  EXPECT_EQ(refused([](Plan& plan) { plan.embed = {{.text = "", .tokens = {5, 6}}}; }), "unsupported_parameter");
  EXPECT_EQ(refused([](Plan& plan) { plan.sampling.logprobs = 1; }), "unsupported_parameter");
  EXPECT_EQ(dispatcher.submitted_count(), 0u);
  EXPECT_TRUE(guard.seen().empty());
}

TEST_F(DriverTest, AnEdgeThatCannotDeliverAtOnceIsServedByTheCoroutine) {
  sink.is_ready = false;
  begin();
  listener().on_delta(accepted_delta(10));
  listener().on_delta(text("a", 1));
  EXPECT_EQ(sink.text, "");
  turn();
  EXPECT_EQ(sink.text, "a");
  EXPECT_EQ(sink.delivered_now, 0);
  listener().on_delta(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 1}));
  turn();
  EXPECT_TRUE(is_over);
}

}  // namespace
}  // namespace tidegate::gateway::test
