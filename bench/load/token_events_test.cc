#include "bench/load/token_events.h"

#include <gtest/gtest.h>

namespace tidegate::bench {
namespace {

const std::string kStream =
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
    ": keep-alive\n\n"
    "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"content\":\"moon\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"content\": \" tide\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"completion_tokens\":42}}\n\n"
    "data: [DONE]\n\n";

TEST(TokenEvents, CountsEventsWithTextInAnySlicing) {
  for (std::size_t slice = 1; slice <= kStream.size(); ++slice) {
    int tokens = 0;
    TokenEvents events([&] { ++tokens; });
    for (std::size_t at = 0; at < kStream.size(); at += slice) {
      ASSERT_TRUE(events.feed(std::string_view(kStream).substr(at, slice)));
    }
    ASSERT_EQ(tokens, 3) << slice;
    EXPECT_TRUE(events.is_done());
    EXPECT_FALSE(events.is_cut());
    EXPECT_EQ(events.completion_tokens(), 42);
  }
}

TEST(TokenEvents, AnErrorInsteadOfAnEndIsSeen) {
  TokenEvents events([] {});
  EXPECT_TRUE(events.feed("data: {\"error\":{\"message\":\"worker lost\"}}\n\n"));
  EXPECT_TRUE(events.is_cut());
  EXPECT_FALSE(events.is_done());
}

TEST(TokenEvents, ResetForgetsHalfAnEvent) {
  int tokens = 0;
  TokenEvents events([&] { ++tokens; });
  EXPECT_TRUE(events.feed("data: {\"choices\":[{\"delta\":{\"con"));
  events.reset();
  EXPECT_TRUE(events.feed(kStream));
  EXPECT_EQ(tokens, 3);
}

TEST(FindCompletionTokens, ReadsTheNumberOfAWholeAnswer) {
  EXPECT_EQ(find_completion_tokens(R"({"usage":{"prompt_tokens":3,"completion_tokens":64,"total_tokens":67}})"), 64);
  EXPECT_EQ(find_completion_tokens(R"({"usage":{"completion_tokens": 7}})"), 7);
  EXPECT_EQ(find_completion_tokens("{}"), 0);
}

}  // namespace
}  // namespace tidegate::bench
