#include "worker/engine/answer_stream.h"

#include <gtest/gtest.h>

namespace tidegate::worker::answer_stream_test {
namespace {

struct Joined {
  std::string reasoning;
  std::string content;
  void operator+=(const AnswerStream::Text& text) {
    reasoning += text.reasoning;
    content += text.content;
  }
};

TEST(AnswerStream, BeginsInsideTheReasoning) {
  AnswerStream answer({});
  Joined joined;
  joined += answer.on_token("plan");
  EXPECT_TRUE(answer.in_reasoning());
  joined += answer.on_think_end();
  joined += answer.on_token("poem");
  joined += answer.finish();
  EXPECT_EQ(joined.reasoning, "plan");
  EXPECT_EQ(joined.content, "poem");
}

TEST(AnswerStream, LineBreaksAroundTheTagBelongToTheTag) {
  AnswerStream answer({});
  Joined joined;
  for (const char* token : {"a\n", "\nb。", "\n", "\n"}) joined += answer.on_token(token);
  joined += answer.on_think_end();
  for (const char* token : {"\n\n", "\nc", "\n\nd", "\n"}) joined += answer.on_token(token);
  joined += answer.finish();
  EXPECT_EQ(joined.reasoning, "a\n\nb。");
  EXPECT_EQ(joined.content, "c\n\nd\n");
}

TEST(AnswerStream, ReasoningThatNeverEndsKeepsItsLineBreaks) {
  AnswerStream answer({});
  Joined joined;
  joined += answer.on_token("a\n");
  joined += answer.finish();
  EXPECT_EQ(joined.reasoning, "a\n");
  EXPECT_EQ(joined.content, "");
}

TEST(AnswerStream, TextThatSpellsTheTagEndsNothing) {
  AnswerStream answer({});
  Joined joined;
  joined += answer.on_token("</think>");
  EXPECT_TRUE(answer.in_reasoning());
  EXPECT_EQ(joined.reasoning, "</think>");
}

TEST(AnswerStream, StopStringsAreMatchedOnTheContentOnly) {
  AnswerStream answer({"。"});
  Joined joined;
  joined += answer.on_token("想。");
  EXPECT_FALSE(answer.stopped());
  joined += answer.on_think_end();
  joined += answer.on_token("月。风");
  EXPECT_TRUE(answer.stopped());
  EXPECT_EQ(joined.reasoning, "想。");
  EXPECT_EQ(joined.content, "月");
}

TEST(AnswerStream, ACharacterCutByTheTagIsReplaced) {
  AnswerStream answer({});
  Joined joined;
  joined += answer.on_token("\xE6\x9C");
  joined += answer.on_think_end();
  joined += answer.on_token("\xE6\x9C\x88");
  EXPECT_EQ(joined.reasoning, "\xEF\xBF\xBD");
  EXPECT_EQ(joined.content, "月");
}

TEST(AnswerStream, WithoutATagInFrontTheFirstLineBreaksAreText) {
  AnswerStream answer({"END"}, AnswerStream::Start::kContent);
  EXPECT_FALSE(answer.in_reasoning());
  Joined joined;
  joined += answer.on_token("\n\na");
  joined += answer.on_think_end();
  joined += answer.on_token("\nbEND");
  EXPECT_TRUE(answer.stopped());
  EXPECT_EQ(joined.reasoning, "");
  EXPECT_EQ(joined.content, "\n\na\nb");
}

TEST(AnswerStream, ASecondEndTagIsIgnored) {
  AnswerStream answer({});
  Joined joined;
  joined += answer.on_think_end();
  joined += answer.on_token("a");
  joined += answer.on_think_end();
  joined += answer.on_token("\nb");
  EXPECT_EQ(joined.content, "a\nb");
}

}  // namespace
}  // namespace tidegate::worker::answer_stream_test
