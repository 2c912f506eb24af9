#include "gateway/guard/answer_guard.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "base/core/clock.h"
#include "base/core/metrics.h"
#include "tests/support/counted.h"
#include "tests/support/gateway/fake_dispatcher.h"
#include "tests/support/gateway/fake_guard.h"
#include "tests/support/log_capture.h"
#include "tests/support/run_coro.h"
#include "tests/unit/gateway/guard/guard_world.h"

namespace tidegate::gateway::test {
namespace {

struct Answer {
  explicit Answer(GuardPolicy policy = {}, AnswerGuard::Content content = AnswerGuard::Content::kText)
      : desk(guard, policy, metrics, log, clock), answer(desk, subject_of(), content) {}
  /// What comes out; whether the guard ended it is in `is_cut`.
  SequenceDelta pass(SequenceDelta delta) {
    delta.own = {.completion = delta.usage.completion, .reasoning = delta.usage.reasoning};
    is_cut = tidegate::test::run_coro(answer.pass(delta));
    return delta;
  }
  SequenceDelta text(std::string content, std::int64_t completion) {
    return pass(text_delta({}, std::move(content), {.prompt = 10, .completion = completion}));
  }
  SequenceDelta end(std::string content, std::int64_t completion) {
    return pass(end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = completion}, std::move(content)));
  }

  MemoryRegistry registry;
  GuardMetrics metrics{registry};
  tidegate::test::LogCapture log;
  SystemClock clock;
  FakeGuard guard;
  GuardDesk desk;
  AnswerGuard answer;
  bool is_cut = false;
};

/// Two answers to one prompt, counted as the inbox counts them.
struct TwoAnswers {
  explicit TwoAnswers(Answer& world, AnswerGuard::Content content = AnswerGuard::Content::kText)
      : answer(world.desk, subject_of(), content, 2) {}
  /// One piece of one of them, and what comes out; `completion` is the request's total.
  SequenceDelta pass(std::size_t choice, std::string content, std::int64_t completion, bool ends = false) {
    SequenceDelta delta = text_delta({}, std::move(content), {.prompt = 10, .completion = completion});
    delta.choice = static_cast<std::int32_t>(choice);
    own.at(choice) += completion - std::exchange(told, completion);
    delta.own = {.completion = own.at(choice)};
    if (ends) delta.choice_end = SequenceEnd::kStop;
    is_cut = tidegate::test::run_coro(answer.pass(delta));
    return delta;
  }

  AnswerGuard answer;
  std::array<std::int64_t, 2> own{};
  std::int64_t told = 0;
  bool is_cut = false;
};

TEST(AnswerGuard, TextThatNoRuleWaitsForPassesAtOnceWithItsUsage) {
  Answer answer;
  answer.pass(accepted_delta(10, 4));
  const SequenceDelta out = answer.text("hello", 2);
  EXPECT_EQ(out.content, "hello");
  EXPECT_EQ(out.usage.completion, 2);
  EXPECT_FALSE(answer.is_cut);
}

TEST(AnswerGuard, HeldTextIsNeitherHandedOverNorCharged) {
  Answer answer;
  answer.pass(accepted_delta(10));
  EXPECT_EQ(answer.text("my ", 1).usage.completion, 1);
  const SequenceDelta held = answer.text("sec", 2);
  EXPECT_EQ(held.content, "");
  EXPECT_EQ(held.usage.completion, 1);
  EXPECT_EQ(held.usage.prompt, 10);
  const SequenceDelta part = answer.text("ular fo", 3);
  EXPECT_EQ(part.content, "secular ");
  EXPECT_EQ(part.usage.completion, 2) << "of the third event something waits";
  const SequenceDelta rest = answer.end("x", 4);
  EXPECT_EQ(rest.content, "fox");
  EXPECT_EQ(rest.usage.completion, 4);
  EXPECT_EQ(rest.end, SequenceEnd::kStop);
}

TEST(AnswerGuard, ASecretInPiecesIsMasked) {
  Answer answer;
  EXPECT_EQ(answer.text("a s", 1).content, "a ");
  EXPECT_EQ(answer.text("ecr", 2).content, "");
  EXPECT_EQ(answer.text("et!", 3).content, "[x]!");
  EXPECT_EQ(tidegate::test::counted(answer.registry, 1, "tidegate_gateway_guard_checks_total",
                                    {{"direction", "output"}, {"verdict", "mask"}}),
            1);
}

TEST(AnswerGuard, ADenialEndsTheAnswerWhereItStandsAndChargesWhatWasHandedOver) {
  Answer answer;
  answer.pass(accepted_delta(10));
  EXPECT_EQ(answer.text("so ", 1).content, "so ");
  EXPECT_EQ(answer.text("far for", 2).content, "far ");
  const SequenceDelta out = answer.text("bidden fruit", 5);
  EXPECT_TRUE(answer.is_cut);
  EXPECT_EQ(out.content, "");
  EXPECT_EQ(out.end, SequenceEnd::kFiltered);
  EXPECT_EQ(out.usage.completion, 1);
  EXPECT_EQ(out.usage.prompt, 10);
}

TEST(AnswerGuard, ADenialInTheLastEventIsOneToo) {
  Answer answer;
  answer.pass(accepted_delta(10));
  const SequenceDelta out = answer.end("not forbidden", 3);
  EXPECT_TRUE(answer.is_cut);
  EXPECT_EQ(out.content, "not ");
  EXPECT_EQ(out.end, SequenceEnd::kFiltered);
  EXPECT_EQ(out.usage.completion, 0);
  EXPECT_EQ(out.usage.prompt, 10);
}

TEST(AnswerGuard, EachOfSeveralAnswersIsReadByItself) {
  Answer world;
  TwoAnswers answers(world);
  EXPECT_EQ(answers.pass(0, "a sec", 1).content, "a ");
  EXPECT_EQ(answers.pass(1, "ret!", 2).content, "ret!") << "no secret: its beginning is another answer's";
  EXPECT_EQ(answers.pass(0, "ret.", 3).content, "[x].");
  EXPECT_EQ(answers.pass(1, " my sec", 4).content, " my ");
  const SequenceDelta last = answers.pass(1, "", 5, true);
  EXPECT_EQ(last.content, "sec") << "the end of one answer hands over what waited in it";
  EXPECT_EQ(last.choice_end, SequenceEnd::kStop);
  EXPECT_EQ(last.usage.completion, 5);
}

TEST(AnswerGuard, WhatOneAnswerHoldsBackMakesNoOtherFree) {
  Answer world;
  TwoAnswers answers(world);
  EXPECT_EQ(answers.pass(0, "sec", 3).usage.completion, 0);
  const SequenceDelta other = answers.pass(1, "plain", 5);
  EXPECT_EQ(other.content, "plain");
  EXPECT_EQ(other.usage.completion, 2) << "its own text was handed over: a client that leaves now has had it";
  EXPECT_EQ(other.usage.prompt, 10);
  EXPECT_EQ(answers.pass(1, " text", 6).usage.completion, 3);
  const SequenceDelta told = answers.pass(0, "ond", 7);
  EXPECT_EQ(told.content, "second");
  EXPECT_EQ(told.usage.completion, 7);
}

TEST(AnswerGuard, ADenialChargesWhatEachAnswerHasHandedOver) {
  Answer world;
  TwoAnswers answers(world);
  EXPECT_EQ(answers.pass(0, "so ", 1).usage.completion, 1);
  EXPECT_EQ(answers.pass(0, "far for", 4).usage.completion, 1);
  EXPECT_EQ(answers.pass(1, "hello", 6).usage.completion, 3);
  const SequenceDelta out = answers.pass(0, "bidden", 8);
  EXPECT_TRUE(answers.is_cut);
  EXPECT_EQ(out.end, SequenceEnd::kFiltered);
  EXPECT_EQ(out.usage.completion, 3) << "one of the first answer, two of the second";
}

TEST(AnswerGuard, AnEndThatHoldsNothingBackIsChargedAsTheEngineCounts) {
  Answer world;
  TwoAnswers answers(world);
  answers.pass(0, "a", 1, true);
  SequenceDelta last = end_delta(SequenceEnd::kStop, {.prompt = 10, .completion = 9}, "b");
  last.choice = 1;
  last.choice_end = SequenceEnd::kStop;
  last.own = {.completion = 1};  // a count of its own that fell short
  EXPECT_FALSE(tidegate::test::run_coro(answers.answer.pass(last)));
  EXPECT_EQ(last.usage.completion, 9);
}

TEST(AnswerGuard, ADenialInOneAnswerEndsThemAll) {
  Answer world;
  AnswerGuard answer(world.desk, subject_of(), AnswerGuard::Content::kText, 2);
  SequenceDelta delta = text_delta({}, "not forbidden", {.prompt = 10, .completion = 2});
  delta.choice = 1;
  delta.choice_end = SequenceEnd::kStop;
  EXPECT_TRUE(tidegate::test::run_coro(answer.pass(delta)));
  EXPECT_EQ(delta.end, SequenceEnd::kFiltered);
  EXPECT_FALSE(delta.choice_end.has_value());
}

SequenceDelta call_delta(std::int32_t index, std::string id, std::string arguments, std::int64_t completion) {
  SequenceDelta delta = text_delta({}, {}, {.prompt = 10, .completion = completion});
  ToolCallDelta piece;
  piece.index = index;
  piece.name = id.empty() ? "" : "f";
  piece.id = std::move(id);
  piece.arguments = std::move(arguments);
  delta.tool_calls.push_back(std::move(piece));
  return delta;
}

TEST(AnswerGuard, ACallIsReadWholeAndHandedOverWhole) {
  Answer answer;
  answer.pass(accepted_delta(10));
  EXPECT_EQ(answer.text("so ", 1).content, "so ");
  const SequenceDelta begun = answer.pass(call_delta(0, "c0", R"({"q":"sec)", 2));
  EXPECT_TRUE(begun.tool_calls.empty());
  EXPECT_EQ(begun.usage.completion, 1) << "what waits is not charged";
  EXPECT_TRUE(answer.pass(call_delta(0, "", R"(ret"})", 3)).tool_calls.empty());
  const SequenceDelta next = answer.pass(call_delta(1, "c1", "{}", 4));
  ASSERT_EQ(next.tool_calls.size(), 1U);
  EXPECT_EQ(next.tool_calls[0].id, "c0");
  EXPECT_EQ(next.tool_calls[0].arguments, R"({"q":"[x]"})");
  EXPECT_EQ(next.usage.completion, 3);
  EXPECT_EQ(answer.guard.seen().back().roles, (std::vector<std::string>{"name", "call"}));
  const SequenceDelta last = answer.pass(end_delta(SequenceEnd::kToolCalls, {.prompt = 10, .completion = 5}));
  ASSERT_EQ(last.tool_calls.size(), 1U);
  EXPECT_EQ(last.tool_calls[0].arguments, "{}");
  EXPECT_EQ(last.usage.completion, 5);
  EXPECT_EQ(last.end, SequenceEnd::kToolCalls);
}

TEST(AnswerGuard, EscapesInACallHideNothing) {
  Answer answer;
  answer.pass(accepted_delta(10));
  answer.pass(call_delta(0, "c0", R"({"q":"\u0066orb)", 2));
  answer.pass(call_delta(0, "", R"(idden"})", 3));
  const SequenceDelta out = answer.pass(end_delta(SequenceEnd::kToolCalls, {.prompt = 10, .completion = 4}));
  EXPECT_TRUE(answer.is_cut);
  EXPECT_TRUE(out.tool_calls.empty());
}

TEST(AnswerGuard, TheNameOfACallWithoutArgumentsIsReadToo) {
  Answer answer;
  answer.pass(accepted_delta(10));
  SequenceDelta call = call_delta(0, "c0", "", 2);
  call.tool_calls[0].name = "forbidden_tool";
  answer.pass(std::move(call));
  const SequenceDelta out = answer.pass(end_delta(SequenceEnd::kToolCalls, {.prompt = 10, .completion = 3}));
  EXPECT_TRUE(answer.is_cut);
  EXPECT_TRUE(out.tool_calls.empty());
  EXPECT_EQ(out.usage.completion, 0);
}

TEST(AnswerGuard, AMaskInANameIsHandedOverAndTheArgumentsStay) {
  Answer answer;
  answer.pass(accepted_delta(10));
  SequenceDelta call = call_delta(0, "c0", R"({"q":1})", 2);
  call.tool_calls[0].name = "tell_secret";
  answer.pass(std::move(call));
  const SequenceDelta out = answer.pass(end_delta(SequenceEnd::kToolCalls, {.prompt = 10, .completion = 3}));
  ASSERT_EQ(out.tool_calls.size(), 1U);
  EXPECT_EQ(out.tool_calls[0].name, "tell_[x]");
  EXPECT_EQ(out.tool_calls[0].arguments, R"({"q":1})");
}

TEST(AnswerGuard, EscapesInContentThatIsJsonHideNothingHoweverTheyAreCut) {
  const std::string said = R"({"q":"a \u0073ecret \n \\u0073 \ud83c\udf19"})";
  for (std::size_t cut = 0; cut <= said.size(); ++cut) {
    Answer answer({}, AnswerGuard::Content::kJson);
    answer.pass(accepted_delta(10));
    const SequenceDelta first = answer.text(said.substr(0, cut), 1);
    const SequenceDelta last = answer.end(said.substr(cut), 2);
    EXPECT_EQ(first.content + last.content, R"({"q":"a [x] \n \\u0073 🌙"})") << cut;
    EXPECT_EQ(last.usage.completion, 2);
  }
  Answer text;
  EXPECT_EQ(text.end(said, 1).content, said) << "only JSON reads escapes so";
}

TEST(AnswerGuard, AnEscapeThatHasBegunIsNeitherHandedOverNorCharged) {
  Answer answer({}, AnswerGuard::Content::kJson);
  answer.pass(accepted_delta(10));
  EXPECT_EQ(answer.text(R"({"a)", 1).usage.completion, 1);
  const SequenceDelta held = answer.text(R"(\u00)", 2);
  EXPECT_EQ(held.content, "");
  EXPECT_EQ(held.usage.completion, 1);
  const SequenceDelta told = answer.text("62", 3);
  EXPECT_EQ(told.content, "b");
  EXPECT_EQ(told.usage.completion, 3);
  EXPECT_EQ(answer.end(R"(\u0)", 4).content, R"(\u0)") << "an end leaves nothing behind";
}

TEST(AnswerGuard, AnEscapeOfOneAnswerIsNotFinishedByAnother) {
  Answer world;
  TwoAnswers answers(world, AnswerGuard::Content::kJson);
  EXPECT_EQ(answers.pass(0, R"("a\u00)", 1).content, R"("a)");
  EXPECT_EQ(answers.pass(1, R"("61)", 2).content, R"("61)");
  const SequenceDelta told = answers.pass(0, "62", 3);
  EXPECT_EQ(told.content, "b");
  EXPECT_EQ(told.usage.completion, 3);
  EXPECT_EQ(answers.pass(1, R"(\u0)", 4, true).content, R"(\u0)") << "an end of one leaves nothing of it behind";
}

TEST(AnswerGuard, ADeniedCallIsNotRun) {
  Answer answer;
  answer.pass(accepted_delta(10));
  answer.pass(call_delta(0, "c0", R"({"q":"forbidden"})", 2));
  const SequenceDelta out = answer.pass(end_delta(SequenceEnd::kToolCalls, {.prompt = 10, .completion = 3}));
  EXPECT_TRUE(answer.is_cut);
  EXPECT_TRUE(out.tool_calls.empty());
  EXPECT_EQ(out.end, SequenceEnd::kFiltered);
  EXPECT_EQ(out.usage.completion, 0);
}

TEST(AnswerGuard, ReasoningEndsWhereContentBegins) {
  Answer answer;
  SequenceDelta first = text_delta("a sec", "", {.prompt = 10, .completion = 1});
  EXPECT_EQ(answer.pass(first).reasoning, "a ");
  const SequenceDelta both = answer.pass(text_delta("re", "t of mine", {.prompt = 10, .completion = 2}));
  EXPECT_EQ(both.reasoning, "secre") << "nothing more can come of it";
  EXPECT_EQ(both.content, "t of mine");
  const auto seen = answer.guard.seen().back();
  EXPECT_EQ(seen.roles, (std::vector<std::string>{"reasoning", "answer"}));
  EXPECT_EQ(seen.contexts.at(0), "a ");
  EXPECT_EQ(seen.is_last, (std::vector<bool>{true, false}));
}

TEST(AnswerGuard, ADenialInTheReasoningKeepsTheContentBack) {
  Answer answer;
  const SequenceDelta out = answer.pass(text_delta("forbidden", "poem", {.prompt = 10, .completion = 2}));
  EXPECT_TRUE(answer.is_cut);
  EXPECT_EQ(out.reasoning + out.content, "");
}

TEST(AnswerGuard, WithoutAVerdictTheAnswerEndsOrGoesOnUnread) {
  const Error away(Code::kDeadlineExceeded, "rpc_deadline_exceeded", "m");
  Answer closed;
  closed.guard.fail_next_check(away);
  const SequenceDelta out = closed.text("hello", 1);
  EXPECT_TRUE(closed.is_cut);
  EXPECT_EQ(out.content, "");
  EXPECT_EQ(out.end, SequenceEnd::kError);
  EXPECT_EQ(out.error.reason, "guard_unavailable");
  GuardPolicy policy;
  policy.output = OnGuardFailure::kOpen;
  Answer opened(policy);
  opened.guard.fail_next_check(away);
  EXPECT_EQ(opened.text("my secret", 1).content, "my secret");
  EXPECT_FALSE(opened.is_cut);
}

TEST(AnswerGuard, AFailedAnswerIsNotRead) {
  Answer answer;
  SequenceDelta failed = text_delta("", "text", {.prompt = 10, .completion = 2});
  failed.end = SequenceEnd::kError;
  failed.error = Error(Code::kInternal, "engine", "m");
  EXPECT_EQ(answer.pass(failed).error.reason, "engine");
  EXPECT_TRUE(answer.guard.seen().empty());
}

TEST(AnswerGuard, AnotherWorkerBeginsAnew) {
  Answer answer;
  answer.pass(accepted_delta(10));
  EXPECT_EQ(answer.text("sec", 3).content, "");
  answer.answer.reset();
  answer.pass(accepted_delta(12));
  const SequenceDelta out = answer.text("ond", 1);
  EXPECT_EQ(out.content, "ond") << "what the lost worker said is forgotten";
  EXPECT_EQ(out.usage.completion, 1);
}

/// A token may end inside a character: its event has no text, and its usage belongs to text that is still to come.
TEST(AnswerGuard, AnEventWithoutTextChargesNothingAndAsksNobody) {
  Answer answer;
  answer.pass(accepted_delta(10));
  EXPECT_EQ(answer.text("", 1).usage.completion, 0);
  EXPECT_TRUE(answer.guard.seen().empty());
  EXPECT_EQ(answer.text("sec", 2).usage.completion, 0);
}

TEST(AnswerGuard, WhatAnAnswerTookIsToldBeforeItsTextIsThrough) {
  Answer answer;
  answer.pass(accepted_delta(10));
  const TokenUsage usage{.prompt = 10, .completion = 3, .drafted = 2, .accepted = 1, .device_us = 500};
  const SequenceDelta held = answer.pass(text_delta({}, "sec", usage));
  EXPECT_EQ(held.usage, (TokenUsage{.prompt = 10, .drafted = 2, .accepted = 1, .device_us = 500}));
}

}  // namespace
}  // namespace tidegate::gateway::test
