#include "gateway/http/logprob_answer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/json/json.h"

namespace tidegate::gateway {
namespace {

json::object parsed(const std::string& text) {
  const auto value = json::parse(text);
  EXPECT_TRUE(value) << text;
  return value && value->is_object() ? value->get_object() : json::object();
}

TEST(LogprobAnswer, ATokenThatIsHalfACharacterSpellsItsBytes) {
  std::string out;
  append_chat_logprobs(out, TokenLogprobs{{.bytes = "\xe6\x9c", .logprob = -0.5, .top = {{"\xe6\x9c", -0.5}, {"a", -1}}}});
  const json::object root = parsed(out);
  const json::object& token = root.at("content").at(0).as_object();
  EXPECT_EQ(token.at("token"), "\\xe6\\x9c");
  EXPECT_EQ(token.at("bytes"), (json::array{230, 156}));
  EXPECT_EQ(token.at("logprob"), -0.5);
  ASSERT_EQ(token.at("top_logprobs").as_array().size(), 2U);
  EXPECT_EQ(token.at("top_logprobs").at(1).at("token"), "a");
  EXPECT_EQ(token.at("top_logprobs").at(1).at("bytes"), (json::array{97}));
  EXPECT_TRUE(root.at("refusal").is_null());
}

TEST(LogprobAnswer, ThinkingHasAListOfItsOwn) {
  std::string out;
  append_chat_logprobs(out, TokenLogprobs{{.bytes = "hm", .logprob = -1, .in_reasoning = true}});
  EXPECT_TRUE(parsed(out).at("content").is_null());
  EXPECT_EQ(parsed(out).at("reasoning_content").as_array().size(), 1U);
  out.clear();
  append_chat_logprobs(out, TokenLogprobs{{.bytes = "hm", .logprob = -1, .in_reasoning = true}, {.bytes = "a", .logprob = 0}});
  EXPECT_EQ(parsed(out).at("content").at(0).at("token"), "a");
  out.clear();
  append_chat_logprobs(out, {});
  EXPECT_EQ(out, "null");
}

TEST(LogprobAnswer, EveryNumberIsOneThatJsonHas) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double logprob : {-infinity, std::nan(""), -1e300, 1e-9}) {
    std::string out;
    append_chat_logprobs(out, TokenLogprobs{{.bytes = "a", .logprob = logprob}});
    const double read = parsed(out).at("content").at(0).at("logprob").to_number<double>();
    EXPECT_TRUE(read == -9'999 || read == 0) << out;
  }
}

TEST(LogprobAnswer, CompletionsHaveFourArraysWhoseOffsetsGoOn) {
  CompletionLogprobs form;
  std::string out;
  form.append(out, TokenLogprobs{{.bytes = "\xe6\x9c\x88", .logprob = -1, .top = {{"a", -0.5}}}, {.bytes = "ab", .logprob = -2}});
  const json::object first = parsed(out);
  EXPECT_EQ(first.at("tokens"), (json::array{"\xe6\x9c\x88", "ab"}));
  EXPECT_EQ(first.at("token_logprobs").as_array().size(), 2U);
  EXPECT_EQ(first.at("text_offset"), (json::array{0, 1})) << "characters, not bytes";
  const json::object& top = first.at("top_logprobs").at(0).as_object();
  EXPECT_EQ(top.size(), 2U) << "the chosen one is always among them";
  EXPECT_EQ(top.at("a"), -0.5);
  out.clear();
  form.append(out, TokenLogprobs{{.bytes = "\xff", .logprob = -3}});
  EXPECT_EQ(parsed(out).at("text_offset"), (json::array{3}));
  EXPECT_EQ(parsed(out).at("tokens"), (json::array{"bytes:\\xff"}));
  out.clear();
  form.append(out, {});
  EXPECT_EQ(out, "null");
}

}  // namespace
}  // namespace tidegate::gateway
