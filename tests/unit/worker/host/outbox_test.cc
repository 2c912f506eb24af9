#include "worker/host/outbox.h"

#include <gmock/gmock.h>

namespace tidegate::worker {
namespace {

SessionEvent text(std::uint64_t sequence, std::string content) {
  return {.sequence = sequence, .content = std::move(content)};
}

TEST(Outbox, SeveralAnswersDoNotMixAndTheirEndComesLast) {
  Outbox outbox;
  outbox.add({.sequence = 1, .content = "a", .choice = 0});
  outbox.add({.sequence = 1, .content = "x", .choice = 1});
  outbox.add({.sequence = 1, .content = "y", .choice = 1, .choice_finish = FinishReason::kStop, .stop_text = "S"});
  outbox.add({.sequence = 1, .content = "b", .choice = 0, .choice_finish = FinishReason::kLength, .finish = FinishReason::kLength});
  auto events = outbox.take();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].content, "a");
  EXPECT_FALSE(events[0].finish.has_value()) << "the end is behind the other answer's text";
  EXPECT_EQ(events[1].content, "xy");
  EXPECT_EQ(events[1].choice_finish, FinishReason::kStop);
  EXPECT_EQ(events[1].stop_text, "S");
  EXPECT_EQ(events[2].content, "b");
  EXPECT_EQ(events[2].finish, FinishReason::kLength);
  outbox.put_back(std::move(events));
  EXPECT_EQ(outbox.take().back().finish, FinishReason::kLength) << "also when it was put back";
}

TEST(Outbox, TotalsOfSeveralAnswersNeitherFallNorRunAheadOfTheirText) {
  Outbox outbox;
  outbox.add({.sequence = 1, .content = "a", .choice = 0, .usage = {.prompt_tokens = 5, .completion_tokens = 1}});
  outbox.add({.sequence = 2, .content = "z", .usage = {.prompt_tokens = 9, .completion_tokens = 90}});
  outbox.add({.sequence = 1, .content = "x", .choice = 1, .usage = {.prompt_tokens = 5, .completion_tokens = 2}});
  outbox.add({.sequence = 1, .content = "b", .choice = 0, .usage = {.prompt_tokens = 5, .completion_tokens = 3}});
  const auto events = outbox.take();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].content, "ab");
  EXPECT_EQ(events[0].usage.completion_tokens, 1) << "what the other answer said stands behind it";
  EXPECT_EQ(events[1].usage.completion_tokens, 90);
  EXPECT_EQ(events[2].content, "x");
  EXPECT_EQ(events[2].usage.completion_tokens, 3);
}

TEST(Outbox, MergesEventsOfOneSequenceInOrder) {
  Outbox outbox;
  outbox.add({.sequence = 1, .accepted = true, .usage = {.prompt_tokens = 5}});
  outbox.add(text(2, "other"));
  outbox.add({.sequence = 1, .reasoning = "a", .content = "b", .usage = {.prompt_tokens = 5, .completion_tokens = 1}});
  outbox.add({.sequence = 1,
              .content = "c",
              .usage = {.prompt_tokens = 5, .completion_tokens = 2},
              .finish = FinishReason::kStop,
              .stop_text = "END"});
  const auto events = outbox.take();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_TRUE(events[0].accepted);
  EXPECT_EQ(events[0].reasoning, "a");
  EXPECT_EQ(events[0].content, "bc");
  EXPECT_EQ(events[0].usage.completion_tokens, 2);
  EXPECT_EQ(events[0].finish, FinishReason::kStop);
  EXPECT_EQ(events[0].stop_text, "END");
  EXPECT_EQ(events[1].content, "other");
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.bytes(), 0u);
}

TEST(Outbox, PiecesOfOneCallBecomeOne) {
  Outbox outbox;
  outbox.add({.sequence = 1, .tool_calls = {{0, "c", "f", "{"}}});
  const auto before = outbox.bytes();
  outbox.add({.sequence = 1, .tool_calls = {{0, "", "", "}"}, {1, "d", "g", ""}}});
  EXPECT_EQ(outbox.bytes(), before + 3);
  const auto events = outbox.take();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].tool_calls, (ToolCallDeltas{{0, "c", "f", "{}"}, {1, "d", "g", ""}}));
}

TEST(Outbox, PutBackKeepsWhatCameMeanwhileBehind) {
  Outbox outbox;
  outbox.add(text(1, "first"));
  auto taken = outbox.take();
  outbox.add(text(1, " second"));
  outbox.put_back(std::move(taken));
  const auto events = outbox.take();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].content, "first second");
}

TEST(Outbox, BytesFollowTheTextHeld) {
  Outbox outbox;
  outbox.add(text(1, std::string(1000, 'x')));
  const auto one = outbox.bytes();
  EXPECT_GE(one, 1000u);
  outbox.add(text(1, std::string(500, 'x')));
  EXPECT_EQ(outbox.bytes(), one + 500);
}

}  // namespace
}  // namespace tidegate::worker
