#include "worker/external/token_count.h"

#include <gtest/gtest.h>

namespace tidegate::worker::external::token_count_test {
namespace {

GenerateRequest asking(std::string text) {
  GenerateRequest request;
  request.messages = {{Role::kUser, std::move(text)}};
  return request;
}

TEST(TokenCount, WithoutATokenizerBytesBoundIt) {
  const auto counter = TokenCounter::open("", 8);
  ASSERT_TRUE(counter);
  EXPECT_FALSE(counter->has_tokenizer());
  EXPECT_EQ(counter->text("moon over water"), (TokenRange{2, 15}));
  EXPECT_EQ(counter->text(""), (TokenRange{0, 0}));
  const TokenRange prompt = counter->prompt(asking("moon over water"));
  EXPECT_EQ(prompt.least, 2);
  EXPECT_GT(prompt.most, 15) << "the template's part";
}

TEST(TokenCount, WithATokenizerItIsTheModelsOwnPrompt) {
  const auto counter = TokenCounter::open(TG_SOURCE_DIR "/models/tang-moe", 8);
  ASSERT_TRUE(counter) << counter.error().to_string();
  EXPECT_TRUE(counter->has_template());
  const TokenRange prompt = counter->prompt(asking("写一首关于月的诗。"));
  EXPECT_EQ(prompt.least, prompt.most);
  EXPECT_GT(prompt.least, counter->text("写一首关于月的诗。").least);
}

TEST(TokenCount, AMissingTokenizerIsNamed) {
  const auto counter = TokenCounter::open("/nonexistent/folder", 8);
  ASSERT_FALSE(counter);
  EXPECT_NE(counter.error().to_string().find("/nonexistent"), std::string::npos);
}

TEST(TokenCount, ATextThatGrowsIsCountedAsTheWhole) {
  const auto counter = TokenCounter::open(TG_SOURCE_DIR "/models/tang-moe", 8);
  ASSERT_TRUE(counter);
  RunningCount running(*counter);
  std::string whole;
  for (int i = 0; i < 400; ++i) {
    const std::string piece = i % 3 == 0 ? " moon" : i % 3 == 1 ? "月" : " over water\n";
    running.add(piece);
    whole += piece;
  }
  const std::int64_t exact = counter->text(whole).least;
  EXPECT_GE(running.range().least, exact);
  EXPECT_LE(running.range().most, exact + exact / 50 + 2) << "closing at blanks costs next to nothing";
}

}  // namespace
}  // namespace tidegate::worker::external::token_count_test
