#include "worker/tokenizer/tokenizer.h"

#include <gmock/gmock.h>

namespace tidegate::worker {
namespace {

using testing::ElementsAre;

// Bytes are their own ids; added tokens from 256 on.
Tokenizer tokenizer_with(std::vector<AddedToken> added) {
  TokenizerFile file;
  for (int byte = 0; byte < 256; ++byte)
    file.vocab.emplace_back(std::string(1, static_cast<char>(byte)), byte);
  file.added = std::move(added);
  auto built = Tokenizer::build(file);
  EXPECT_TRUE(built) << built.error().to_string();
  return *std::move(built);
}

TEST(Tokenizer, TheLeftmostThenLongestAddedTokenMatches) {
  const Tokenizer tokenizer = tokenizer_with({{256, "<a", false}, {257, "<ab>", false}, {258, "b>x", false}});
  EXPECT_THAT(tokenizer.encode("<ab>x", AddedTokens::kAllow), ElementsAre(257, 'x'));
  EXPECT_THAT(tokenizer.encode("<ac", AddedTokens::kAllow), ElementsAre(256, 'c'));
  EXPECT_THAT(tokenizer.encode("<<a", AddedTokens::kAllow), ElementsAre('<', 256));
  EXPECT_THAT(tokenizer.encode("<a", AddedTokens::kRefuse), ElementsAre('<', 'a'));
}

TEST(Tokenizer, DecodingLeavesControlTokensAwayUnlessAsked) {
  const Tokenizer tokenizer = tokenizer_with({{256, "<x>", true}, {257, "<y>", false}});
  const std::vector<TokenId> ids = {'a', 256, 'b', 257};
  EXPECT_EQ(tokenizer.decode(ids), "ab");
  EXPECT_EQ(tokenizer.decode(ids, ControlText::kKeep), "a<x>b<y>");
}

TEST(Tokenizer, IdsThatAreNoTokenHaveNoBytes) {
  const Tokenizer tokenizer = tokenizer_with({{300, "<x>", true}});
  EXPECT_EQ(tokenizer.vocab_limit(), 301);
  for (const TokenId id : {-1, 270, 301, 1 << 30}) {
    EXPECT_EQ(tokenizer.token_bytes(id), "");
    EXPECT_FALSE(tokenizer.is_control(id));
  }
}

TEST(Tokenizer, BytesThatAreNotUtf8SurviveTheRoundTrip) {
  const Tokenizer tokenizer = tokenizer_with({});
  const std::string text = "a\xFF\xC0\x80 \xED\xA0\x80z\xE6";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, AddedTokens::kAllow)), text);
}

TEST(Tokenizer, RefusesAnAbsurdTokenId) {
  TokenizerFile file;
  for (int byte = 0; byte < 256; ++byte)
    file.vocab.emplace_back(std::string(1, static_cast<char>(byte)), byte);
  file.added = {{1 << 30, "<x>", true}};
  EXPECT_FALSE(Tokenizer::build(file));
}

}  // namespace
}  // namespace tidegate::worker
