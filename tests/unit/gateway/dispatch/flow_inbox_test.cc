#include "gateway/dispatch/flow_inbox.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/gateway/fake_dispatcher.h"
#include "tests/support/run_coro.h"

namespace tidegate::gateway::test {
namespace {

struct Box {
  asio::io_context context{1};
  FlowInbox inbox{context.get_executor()};
};

TEST(FlowInbox, MergesWhatAWorkerSaidUntilSomebodyLooks) {
  Box box;
  box.inbox.on_delta(accepted_delta(10));
  box.inbox.on_delta(text_delta("a", "", {.prompt = 10, .completion = 1}));
  box.inbox.on_delta(text_delta("b", "c", {.prompt = 10, .completion = 2}));
  const auto message = box.inbox.take();
  ASSERT_TRUE(message);
  const auto& delta = std::get<SequenceDelta>(*message);
  EXPECT_TRUE(delta.accepted);
  EXPECT_EQ(delta.reasoning, "ab");
  EXPECT_EQ(delta.content, "c");
  EXPECT_EQ(delta.usage.completion, 2);
  EXPECT_FALSE(box.inbox.take());
}

TEST(FlowInbox, PiecesOfOneCallBecomeOneForAClientThatIsSlow) {
  Box box;
  SequenceDelta first = text_delta("", "Wait.", {.prompt = 10, .completion = 1});
  first.tool_calls = {{0, "c", "f", "{"}};
  box.inbox.on_delta(std::move(first));
  SequenceDelta last = end_delta(SequenceEnd::kToolCalls, {.prompt = 10, .completion = 2});
  last.tool_calls = {{0, "", "", "}"}, {1, "d", "g", "{}"}};
  box.inbox.on_delta(std::move(last));
  const auto message = box.inbox.take();
  ASSERT_TRUE(message);
  const auto& delta = std::get<SequenceDelta>(*message);
  EXPECT_EQ(delta.tool_calls, (ToolCallDeltas{{0, "c", "f", "{}"}, {1, "d", "g", "{}"}}));
  EXPECT_EQ(delta.end, SequenceEnd::kToolCalls);
}

TEST(FlowInbox, TheEndKeepsItsStopStringWhenItIsMerged) {
  Box box;
  box.inbox.on_delta(text_delta("", "a", {.prompt = 10, .completion = 1}));
  SequenceDelta last = end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 2});
  last.stop_text = "END";
  box.inbox.on_delta(std::move(last));
  const auto message = box.inbox.take();
  ASSERT_TRUE(message);
  EXPECT_EQ(std::get<SequenceDelta>(*message).stop_text, "END");
}

SequenceDelta said(std::int32_t choice, std::string content, std::int64_t completion) {
  SequenceDelta delta = text_delta("", std::move(content), {.prompt = 10, .completion = completion});
  delta.choice = choice;
  return delta;
}

TEST(FlowInbox, SeveralAnswersAreMergedEachByItselfWithTotalsThatNeverFall) {
  Box box;
  box.inbox.on_delta(said(0, "a", 1));
  box.inbox.on_delta(said(1, "x", 2));
  SequenceDelta ended = said(0, "b", 3);
  ended.choice_end = SequenceEnd::kStop;
  box.inbox.on_delta(std::move(ended));
  SequenceDelta last = said(1, "y", 4);
  last.choice_end = SequenceEnd::kLength;
  last.end = SequenceEnd::kLength;
  box.inbox.on_delta(std::move(last));
  const auto first = std::get<SequenceDelta>(*box.inbox.take());
  EXPECT_EQ(first.content, "ab");
  EXPECT_EQ(first.choice_end, SequenceEnd::kStop);
  EXPECT_FALSE(first.end.has_value()) << "the other goes on";
  EXPECT_EQ(first.usage.completion, 1) << "never more than what was handed over";
  const auto second = std::get<SequenceDelta>(*box.inbox.take());
  EXPECT_EQ(second.content, "x");
  EXPECT_EQ(second.usage.completion, 3);
  const auto third = std::get<SequenceDelta>(*box.inbox.take());
  EXPECT_EQ(third.content, "y");
  EXPECT_EQ(third.end, SequenceEnd::kLength);
  EXPECT_EQ(third.usage.completion, 4);
  EXPECT_FALSE(box.inbox.take());
}

TEST(FlowInbox, EachOfSeveralAnswersKeepsACountOfItsOwn) {
  Box box;
  box.inbox.on_delta(said(0, "a", 1));
  box.inbox.on_delta(said(1, "x", 3));
  box.inbox.on_delta(said(0, "b", 6));
  EXPECT_EQ(std::get<SequenceDelta>(*box.inbox.take()).own.completion, 4) << "one and three: its text is 'ab'";
  EXPECT_EQ(std::get<SequenceDelta>(*box.inbox.take()).own.completion, 2);
  box.inbox.on_delta(said(1, "y", 7));
  EXPECT_EQ(std::get<SequenceDelta>(*box.inbox.take()).own.completion, 3);
  box.inbox.reset_worker();
  box.inbox.on_delta(said(1, "z", 2));
  EXPECT_EQ(std::get<SequenceDelta>(*box.inbox.take()).own.completion, 2) << "another worker begins anew";
}

TEST(FlowInbox, LogProbabilitiesStayInTheirOrder) {
  Box box;
  SequenceDelta one = said(0, "a", 1);
  one.logprobs = {{.bytes = "a", .logprob = -1}};
  SequenceDelta two = said(0, "b", 2);
  two.logprobs = {{.bytes = "b", .logprob = -2}};
  box.inbox.on_delta(std::move(one));
  box.inbox.on_delta(std::move(two));
  const auto delta = std::get<SequenceDelta>(*box.inbox.take());
  ASSERT_EQ(delta.logprobs.size(), 2U);
  EXPECT_EQ(delta.logprobs[1].bytes, "b");
}

TEST(FlowInbox, AClientThatLeftComesBeforeTextItWouldNotRead) {
  Box box;
  box.inbox.on_delta(text_delta("a", "", {}));
  box.inbox.on_client_gone();
  box.inbox.on_client_gone();
  EXPECT_TRUE(std::holds_alternative<FlowInbox::ClientGone>(*box.inbox.take()));
  EXPECT_TRUE(std::holds_alternative<SequenceDelta>(*box.inbox.take()));
  EXPECT_FALSE(box.inbox.take()) << "said once";
  EXPECT_TRUE(box.inbox.is_client_gone());
}

TEST(FlowInbox, TextComesBeforeTheLossOfItsWorker) {
  Box box;
  box.inbox.on_dispatched(fake_worker());
  box.inbox.on_delta(text_delta("a", "", {}));
  box.inbox.on_worker_lost();
  EXPECT_TRUE(std::holds_alternative<WorkerFacts>(*box.inbox.take()));
  EXPECT_TRUE(std::holds_alternative<SequenceDelta>(*box.inbox.take()));
  EXPECT_TRUE(std::holds_alternative<FlowInbox::WorkerLost>(*box.inbox.take()));
}

TEST(FlowInbox, ResetForgetsTheLostWorker) {
  Box box;
  box.inbox.on_dispatched(fake_worker());
  box.inbox.on_worker_lost();
  box.inbox.reset_worker();
  EXPECT_FALSE(box.inbox.take());
}

struct FakeTaker final : DeltaTaker {
  bool take_now(SequenceDelta& delta) override {
    if (!is_willing) return false;
    taken.push_back(std::move(delta));
    return true;
  }
  bool is_willing = true;
  std::vector<SequenceDelta> taken;
};

TEST(FlowInbox, ATakerGetsWhatFindsNothingBeforeIt) {
  Box box;
  FakeTaker taker;
  box.inbox.set_taker(&taker);
  box.inbox.on_delta(text_delta("", "a", {.prompt = 10, .completion = 1}));
  box.inbox.on_delta(text_delta("", "b", {.prompt = 10, .completion = 2}));
  ASSERT_EQ(taker.taken.size(), 2U);
  EXPECT_EQ(taker.taken[1].content, "b");
  EXPECT_FALSE(box.inbox.take());
}

TEST(FlowInbox, WhatATakerRefusesGoesTheUsualWayAndSoDoesWhatFollows) {
  Box box;
  FakeTaker taker;
  taker.is_willing = false;
  box.inbox.set_taker(&taker);
  box.inbox.on_delta(text_delta("", "a", {.prompt = 10, .completion = 1}));
  taker.is_willing = true;
  box.inbox.on_delta(text_delta("", "b", {.prompt = 10, .completion = 2}));
  EXPECT_TRUE(taker.taken.empty()) << "text keeps its order";
  EXPECT_EQ(std::get<SequenceDelta>(*box.inbox.take()).content, "ab");
}

TEST(FlowInbox, NoTakerIsAskedBehindAClientThatLeftOrAWorkerNotYetSeen) {
  Box box;
  FakeTaker taker;
  box.inbox.set_taker(&taker);
  box.inbox.on_dispatched(fake_worker());
  box.inbox.on_delta(text_delta("", "a", {}));
  EXPECT_TRUE(std::holds_alternative<WorkerFacts>(*box.inbox.take()));
  EXPECT_TRUE(std::holds_alternative<SequenceDelta>(*box.inbox.take()));
  box.inbox.on_client_gone();
  box.inbox.on_delta(text_delta("", "b", {}));
  EXPECT_TRUE(taker.taken.empty());
  EXPECT_TRUE(std::holds_alternative<FlowInbox::ClientGone>(*box.inbox.take()));
}

TEST(FlowInbox, ANudgeWakesOnceAndComesBeforeTextThatCameLater) {
  Box box;
  FakeTaker taker;
  box.inbox.set_taker(&taker);
  box.inbox.nudge();
  box.inbox.nudge();
  box.inbox.on_delta(text_delta("", "a", {}));
  EXPECT_TRUE(taker.taken.empty());
  EXPECT_TRUE(std::holds_alternative<FlowInbox::Nudge>(*box.inbox.take()));
  EXPECT_TRUE(std::holds_alternative<SequenceDelta>(*box.inbox.take()));
  EXPECT_FALSE(box.inbox.take());
}

TEST(FlowInbox, NextReturnsNothingAtTheDeadline) {
  Box box;
  const auto message = tidegate::test::run_coro(box.context, box.inbox.next(Deadline::at(Mono{})));
  EXPECT_FALSE(message);
}

}  // namespace
}  // namespace tidegate::gateway::test
