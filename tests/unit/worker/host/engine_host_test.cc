#include "worker/host/engine_host.h"

#include <gmock/gmock.h>

#include "tests/support/log_capture.h"
#include "tests/support/sim_clock.h"
#include "tests/support/worker/fake_engine.h"
#include "tests/unit/worker/host/fake_sink.h"

namespace tidegate::worker {
namespace {

using namespace std::chrono_literals;

class EngineHostTest : public ::testing::Test {
 protected:
  std::shared_ptr<FakeSink> attach(SessionId id) {
    auto sink = std::make_shared<FakeSink>();
    host.attach(id, sink);
    turn();
    return sink;
  }
  void start(SessionId session, std::uint64_t sequence, std::chrono::milliseconds budget = 60s) {
    host.start(session, {.sequence = sequence, .messages = {{}}, .budget = budget}, clock.mono());
  }
  void turn() { host.turn(clock.mono()); }
  void turns(int n) {
    for (int i = 0; i < n; ++i) turn();
  }

  test::SimClock clock;
  test::LogCapture log;
  MemoryRegistry registry;
  WorkerMetrics metrics{registry};
  FakeEngine engine;
  EngineHost host{engine, metrics, log, {.credits_overcommit = 2, .outbox_bytes_max = 4096}};
};

TEST_F(EngineHostTest, NewSessionIsGreetedWithCredits) {
  const auto sink = attach(1);
  ASSERT_EQ(sink->frames().size(), 1u);
  EXPECT_EQ(sink->credits(), 18u);
}

TEST_F(EngineHostTest, SequenceYieldsAcceptedThenTextThenExactlyOneFinish) {
  const auto sink = attach(1);
  start(1, 7);
  turns(5);
  const auto events = sink->events_of(7);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_TRUE(events[0].accepted);
  EXPECT_EQ(events[0].usage.prompt_tokens, 5);
  EXPECT_EQ(events[1].reasoning, "think");
  EXPECT_EQ(events[2].content, "answer");
  EXPECT_EQ(events[2].finish, FinishReason::kStop);
  EXPECT_EQ(events[2].usage.completion_tokens, 2);
  EXPECT_EQ(host.live(), 0);
}

TEST_F(EngineHostTest, AnAnswerNobodyReadsBeforeItsEndComesInFewEventsAndWhole) {
  engine.script.assign(150, {"", "x"});
  const auto sink = attach(1);
  host.start(1, {.sequence = 7, .messages = {{}}, .collect = true, .budget = 60s}, clock.mono());
  turns(152);
  const auto events = sink->events_of(7);
  // Accepted, the first text, then every 64 tokens, and the end with what is left.
  ASSERT_EQ(events.size(), 5u);
  EXPECT_TRUE(events[0].accepted);
  EXPECT_EQ(events[1].content, "x");
  EXPECT_EQ(events[2].usage.completion_tokens, 65);
  EXPECT_EQ(events[3].usage.completion_tokens, 129);
  EXPECT_EQ(events[4].finish, FinishReason::kStop);
  EXPECT_EQ(events[4].usage.completion_tokens, 150);
  std::size_t text = 0;
  for (const auto& event : events) text += event.content.size();
  EXPECT_EQ(text, 150u);
}

TEST_F(EngineHostTest, TheFirstTokenOfACollectedAnswerIsToldAlsoWhenItHasNoText) {
  engine.script = {{"", ""}, {"", "月"}, {"", "x"}, {"", "x"}};
  const auto sink = attach(1);
  host.start(1, {.sequence = 7, .messages = {{}}, .collect = true, .budget = 60s}, clock.mono());
  turns(2);
  auto events = sink->events_of(7);
  ASSERT_EQ(events.size(), 2u) << "accepted, and the first token";
  EXPECT_EQ(events[1].usage.completion_tokens, 1);
  EXPECT_EQ(events[1].content, "");
  turns(4);
  events = sink->events_of(7);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[2].content, "月xx");
}

TEST_F(EngineHostTest, AFormThatCouldNotBeCompiledEndsItsSequenceWithoutTheEngine) {
  const auto sink = attach(1);
  host.start(1,
             {.sequence = 7,
              .messages = {{}},
              .constraint = fail(Code::kInvalidArgument, "unsupported_response_format", "no", "response_format"),
              .budget = 60s},
             clock.mono());
  turn();
  const auto events = sink->events_of(7);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finish, FinishReason::kError);
  EXPECT_EQ(events[0].error.reason, "unsupported_response_format");
  EXPECT_EQ(events[0].error.field, "response_format");
  EXPECT_TRUE(engine.submitted.empty());
}

TEST_F(EngineHostTest, WhatIsCollectedIsToldInTimeAlsoWhenTheModelIsSlow) {
  engine.script.assign(20, {"", "x"});
  const auto sink = attach(1);
  host.start(1, {.sequence = 7, .messages = {{}}, .collect = true, .budget = 60s}, clock.mono());
  turns(2);
  const std::size_t told = sink->events_of(7).size();
  for (int i = 0; i < 4; ++i) {
    clock.advance(100ms);
    turn();
  }
  EXPECT_EQ(sink->events_of(7).size(), told + 1);
  EXPECT_EQ(sink->events_of(7).back().usage.completion_tokens, 4);
}

TEST_F(EngineHostTest, AnIdleSessionHearsWhenTheWorkAheadHasMoved) {
  const auto sink = attach(1);
  const std::size_t greeted = sink->frames().size();
  engine.prompt_tokens_left = 2'000;
  turns(3);
  EXPECT_EQ(sink->frames().size(), greeted) << "too little to speak of";
  engine.prompt_tokens_left = 10'000;
  turns(3);
  ASSERT_EQ(sink->frames().size(), greeted + 1) << "said once";
  EXPECT_EQ(sink->frames().back().tokens_prefilling, 10'000);
  engine.prompt_tokens_left = 0;
  turns(3);
  ASSERT_EQ(sink->frames().size(), greeted + 2);
  EXPECT_EQ(sink->frames().back().tokens_prefilling, 0);
}

TEST_F(EngineHostTest, FramesSayWhichStartsOfTheirSessionTheyInclude) {
  const auto one = attach(1);
  const auto two = attach(2);
  EXPECT_EQ(one->frames().back().starts_seen, 0u);
  start(1, 7);
  start(1, 8);
  turns(5);
  EXPECT_EQ(one->frames().back().starts_seen, 2u);
  EXPECT_EQ(two->frames().back().starts_seen, 0u) << "the other session's starts are the other gateway's";
}

/// Keeps entries, and how many frames the gateway had when each came.
class FakeMeter final : public UsageMeter {
 public:
  explicit FakeMeter(const FakeSink& sink) : sink_(sink) {}
  void record(const MeterEntry& entry) override {
    entries.push_back(entry);
    finishes_told.push_back(0);
    for (const auto& frame : sink_.frames()) {
      for (const auto& event : frame.events) finishes_told.back() += event.finish ? 1 : 0;
    }
  }
  std::vector<MeterEntry> entries;
  std::vector<int> finishes_told;

 private:
  const FakeSink& sink_;
};

TEST_F(EngineHostTest, AnEndedSequenceIsMeteredBeforeItsGatewayHearsOfIt) {
  const auto sink = std::make_shared<FakeSink>();
  FakeMeter meter(*sink);
  EngineHost metered{engine, metrics, log, {.credits_overcommit = 2, .outbox_bytes_max = 4096}, &meter};
  metered.attach(1, sink);
  metered.turn(clock.mono());
  RequestId request;
  request.uuid.bytes[0] = 9;
  metered.start(1, {.sequence = 7, .request = request, .messages = {{}}, .budget = 60s}, clock.mono());
  for (int i = 0; i < 5; ++i) metered.turn(clock.mono());
  ASSERT_EQ(meter.entries.size(), 1u);
  EXPECT_EQ(meter.entries[0].request, request);
  EXPECT_EQ(meter.entries[0].finish, FinishReason::kStop);
  EXPECT_EQ(meter.entries[0].usage.prompt_tokens, 5);
  EXPECT_EQ(meter.entries[0].usage.completion_tokens, 2);
  EXPECT_EQ(meter.finishes_told[0], 0);
  EXPECT_TRUE(sink->events_of(7).back().finish);
}

TEST_F(EngineHostTest, WhatNeverReachedTheEngineIsNotMetered) {
  const auto sink = std::make_shared<FakeSink>();
  FakeMeter meter(*sink);
  EngineHost metered{engine, metrics, log, {.credits_overcommit = 2, .outbox_bytes_max = 4096}, &meter};
  metered.attach(1, sink);
  metered.turn(clock.mono());
  engine.fail_next_submit(Error(Code::kInvalidArgument, "too_long", "no"));
  metered.start(1, {.sequence = 7, .messages = {{}}, .budget = 60s}, clock.mono());
  for (int i = 0; i < 3; ++i) metered.turn(clock.mono());
  EXPECT_TRUE(meter.entries.empty());
}

TEST_F(EngineHostTest, OneFrameAStepCarriesAllSequencesOfASession) {
  const auto one = attach(1);
  const auto two = attach(2);
  const auto before = one->frames().size();
  for (std::uint64_t sequence = 1; sequence <= 5; ++sequence) start(1, sequence);
  start(2, 1);
  turn();
  const auto frames = one->frames();
  ASSERT_EQ(frames.size(), before + 1);
  EXPECT_EQ(frames.back().events.size(), 5u);
  EXPECT_EQ(two->frames().back().events.size(), 1u);
}

TEST_F(EngineHostTest, StartWithoutCreditIsRefusedAndTheEngineNeverSeesIt) {
  const auto sink = attach(1);
  engine.frozen = true;
  for (std::uint64_t sequence = 1; sequence <= 18; ++sequence) start(1, sequence);
  start(1, 19);
  turn();
  EXPECT_EQ(engine.submitted.size(), 18u);
  const auto events = sink->events_of(19);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finish, FinishReason::kError);
  EXPECT_EQ(events[0].error.reason, "no_credit");
}

TEST_F(EngineHostTest, RefusedSubmitIsAnErrorOfThatSequenceAlone) {
  const auto sink = attach(1);
  engine.fail_next_submit(Error(Code::kInvalidArgument, "context_length_exceeded", "too long", "messages"));
  start(1, 1);
  start(1, 2);
  turns(5);
  EXPECT_EQ(sink->events_of(1).back().error.reason, "context_length_exceeded");
  EXPECT_EQ(sink->events_of(2).back().finish, FinishReason::kStop);
}

TEST_F(EngineHostTest, SequenceNumberInUseIsRefusedAndTheFirstGoesOn) {
  const auto sink = attach(1);
  engine.frozen = true;
  start(1, 1);
  start(1, 1);
  EXPECT_EQ(engine.submitted.size(), 1u);
  turn();
  EXPECT_EQ(sink->events_of(1).back().error.reason, "sequence_in_use");
}

TEST_F(EngineHostTest, CancelEndsTheSequenceWithinOneStepAndUnknownNumbersAreIgnored) {
  const auto sink = attach(1);
  start(1, 1);
  turn();
  host.cancel(1, 1);
  host.cancel(1, 99);
  turn();
  EXPECT_EQ(sink->events_of(1).back().finish, FinishReason::kCancelled);
  EXPECT_EQ(host.live(), 0);
}

TEST_F(EngineHostTest, BrokenStreamCancelsItsSequencesAtTheNextStepAndNoOthers) {
  attach(1);
  const auto other = attach(2);
  start(1, 1);
  start(1, 2);
  start(2, 1);
  turn();
  host.detach(1);
  EXPECT_EQ(engine.cancelled.size(), 2u);
  turn();
  EXPECT_EQ(host.live(), 1);
  turns(3);
  EXPECT_EQ(other->events_of(1).back().finish, FinishReason::kStop);
}

TEST_F(EngineHostTest, SpentBudgetEndsTheSequenceAsDeadlineExceeded) {
  const auto sink = attach(1);
  engine.script = std::vector<FakeEngine::Delta>(100, {"", "x"});
  start(1, 1, 50ms);
  turn();
  ASSERT_EQ(host.wake_at(clock.mono()), clock.mono()) << "the fake always has work";
  clock.advance(51ms);
  turn();
  const auto last = sink->events_of(1).back();
  EXPECT_EQ(last.finish, FinishReason::kError);
  EXPECT_EQ(last.error.code, Code::kDeadlineExceeded);
  EXPECT_EQ(registry.value("tidegate_worker_sequences_cancelled_total", {{"cause", "budget_spent"}}), 1);
}

TEST_F(EngineHostTest, BudgetSpentOnArrivalNeverReachesTheEngine) {
  const auto sink = attach(1);
  start(1, 1, 0ms);
  turn();
  EXPECT_TRUE(engine.submitted.empty());
  EXPECT_EQ(sink->events_of(1).back().error.reason, "budget_spent");
}

TEST_F(EngineHostTest, FullStreamGetsItsTextMergedLater) {
  const auto sink = attach(1);
  engine.script = {{"a", ""}, {"b", ""}, {"", "c"}};
  start(1, 1);
  sink->answer(SendResult::kFull);
  turns(5);
  EXPECT_TRUE(sink->events_of(1).empty());
  sink->answer(SendResult::kTaken);
  turn();
  const auto events = sink->events_of(1);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(events[0].accepted);
  EXPECT_EQ(events[0].reasoning, "ab");
  EXPECT_EQ(events[0].content, "c");
  EXPECT_EQ(events[0].finish, FinishReason::kStop);
}

TEST_F(EngineHostTest, StreamThatNeverReadsIsCutOffAtTheBound) {
  const auto sink = attach(1);
  engine.script = std::vector<FakeEngine::Delta>(1000, {"", std::string(100, 'x')});
  start(1, 1);
  turn();
  sink->answer(SendResult::kFull);
  turns(100);
  EXPECT_EQ(host.live(), 0);
  EXPECT_TRUE(log.has("session_not_reading"));
  EXPECT_LT(registry.value("tidegate_worker_outbox_bytes"), 4096 + 1000);
  const auto credits = sink->credits();
  turn();
  EXPECT_EQ(sink->credits(), credits) << "no new credit until it reads";
  sink->answer(SendResult::kTaken);
  turns(2);
  EXPECT_EQ(sink->events_of(1).back().finish, FinishReason::kCancelled);
  EXPECT_GT(sink->credits(), credits);
}

TEST_F(EngineHostTest, DrainGrantsNothingFinishesWhatRunsAndThenIsDrained) {
  const auto sink = attach(1);
  start(1, 1);
  turn();
  const auto credits = sink->credits();
  host.drain();
  EXPECT_FALSE(host.is_drained());
  turns(5);
  EXPECT_TRUE(host.is_drained());
  EXPECT_EQ(sink->events_of(1).back().finish, FinishReason::kStop);
  EXPECT_TRUE(sink->frames().back().draining);
  EXPECT_EQ(sink->credits(), credits);
}

TEST_F(EngineHostTest, DrainWaitsUntilTheLastFrameWasTaken) {
  const auto sink = attach(1);
  start(1, 1);
  sink->answer(SendResult::kFull);
  host.drain();
  turns(5);
  EXPECT_FALSE(host.is_drained());
  sink->answer(SendResult::kTaken);
  turn();
  EXPECT_TRUE(host.is_drained());
}

TEST_F(EngineHostTest, IdleHostHasNothingToWakeFor) {
  attach(1);
  EXPECT_EQ(host.wake_at(clock.mono()), std::nullopt);
  start(1, 1);
  EXPECT_NE(host.wake_at(clock.mono()), std::nullopt);
  turns(4);
  EXPECT_EQ(host.wake_at(clock.mono()), std::nullopt) << "a finished sequence leaves no expiry behind";
}

TEST_F(EngineHostTest, FullStreamIsTriedAgainWithoutAnyOtherEvent) {
  const auto sink = attach(1);
  start(1, 1);
  sink->answer(SendResult::kFull);
  turns(5);
  EXPECT_EQ(host.live(), 0);
  EXPECT_EQ(host.wake_at(clock.mono()), clock.mono() + 5ms);
  sink->answer(SendResult::kTaken);
  turn();
  EXPECT_EQ(host.wake_at(clock.mono()), std::nullopt);
}

// Both sides count every start. If the worker did not count those it could not read, the gateway would run out of
// credits that the worker believes it still has.
TEST_F(EngineHostTest, RejectedStartsUseCreditsAndGetThemBack) {
  const auto sink = attach(1);
  std::uint64_t started = 0;
  for (int round = 0; round < 100; ++round) {
    ASSERT_GT(sink->credits(), started);
    host.reject(1, ++started, Error(Code::kInvalidArgument, "bad_role", "no", "messages[0].role"));
    turn();
    EXPECT_EQ(sink->events_of(started).back().error.field, "messages[0].role");
  }
}

TEST_F(EngineHostTest, CreditsReturnAsSequencesFinish) {
  const auto sink = attach(1);
  for (std::uint64_t sequence = 1; sequence <= 18; ++sequence) start(1, sequence);
  turn();
  EXPECT_EQ(sink->credits(), 18u);
  turns(3);
  EXPECT_EQ(sink->credits(), 36u);
}

}  // namespace
}  // namespace tidegate::worker
