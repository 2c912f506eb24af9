#include "worker/tokenizer/tokenizer.h"

#include <gmock/gmock.h>

#include "worker/tokenizer/byte_map.h"

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

bool occurs_nowhere(int byte) { return byte == 0xC0 || byte == 0xC1 || byte >= 0xF5; }

// As DeepSeek LLM and Coder have it: no token for the bytes that no UTF-8 holds, and their 13 spellings among the added tokens,
// here from 1000 on.
TokenizerFile without_strange_bytes() {
  TokenizerFile file;
  file.added = {{256, "<x>", true}, {257, "<y>", false}};
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    if (occurs_nowhere(byte)) {
      file.added.push_back({1000 + byte, spelling_of_bytes(text), false});
    } else {
      file.vocab.emplace_back(text, byte);
    }
  }
  return file;
}

TEST(Tokenizer, ABytesTokenMayBeMissingWhereNoTextHoldsTheByte) {
  TokenizerFile file = without_strange_bytes();
  file.added.clear();
  const auto tokenizer = Tokenizer::build(file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
  EXPECT_FALSE(tokenizer->has_every_byte());
  EXPECT_TRUE(tokenizer_with({}).has_every_byte());
  for (const AddedTokens added : {AddedTokens::kRefuse, AddedTokens::kAllow}) {
    const std::string text = "a\xC3\xBC\xF4\x8F\xBF\xBF";
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, added)), text) << "no letter tokens: by bytes";
    const std::string broken = "a\xFF\xC0\x80z\xE6";
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(broken, added)), "a\xEF\xBF\xBD\xEF\xBF\xBD\x80z\xE6")
        << "a byte without a token becomes U+FFFD, others stay";
  }
}

TEST(Tokenizer, ALetterTokenIsTextInPromptsAndInAnswers) {
  const auto built = Tokenizer::build(without_strange_bytes());
  ASSERT_TRUE(built) << built.error().to_string();
  const Tokenizer& tokenizer = *built;
  const TokenId umlaut = 1000 + 0xFC;
  for (const AddedTokens added : {AddedTokens::kRefuse, AddedTokens::kAllow}) {
    EXPECT_THAT(tokenizer.encode("T\xC3\xBCr", added), ElementsAre('T', umlaut, 'r'));
    EXPECT_THAT(tokenizer.encode("\xC3\x80\xC3\xBF", added), ElementsAre(1000 + 0xC0, 1000 + 0xFF));
    EXPECT_THAT(tokenizer.encode("\xC3\xA4", added), ElementsAre(0xC3, 0xA4)) << "E4 has its token, so its letter is none";
  }
  EXPECT_THAT(tokenizer.encode("<x>", AddedTokens::kRefuse), ElementsAre('<', 'x', '>')) << "markers stay out of reach";
  EXPECT_THAT(tokenizer.encode("<y>", AddedTokens::kRefuse), ElementsAre('<', 'y', '>'));
  EXPECT_FALSE(tokenizer.is_control(umlaut));
  EXPECT_TRUE(tokenizer.is_control(257));
  const std::vector<TokenId> ids = {'T', umlaut, 'r', 256};
  EXPECT_EQ(tokenizer.decode(ids), "T\xC3\xBCr") << "an answer without its umlauts otherwise";
  EXPECT_EQ(tokenizer.token_bytes_max(), 2U);
}

TEST(Tokenizer, OnlyAPlainAddedTokenOfAMissingByteIsALetter) {
  TokenizerFile file = without_strange_bytes();
  for (AddedToken& token : file.added) token.special = true;
  auto tokenizer = Tokenizer::build(file);
  ASSERT_TRUE(tokenizer);
  EXPECT_TRUE(tokenizer->is_control(1000 + 0xFC)) << "special in the file";
  EXPECT_THAT(tokenizer->encode("\xC3\xBC", AddedTokens::kRefuse), ElementsAre(0xC3, 0xBC));

  const Tokenizer whole = tokenizer_with({{1000, "\xC3\xBC", false}});
  EXPECT_TRUE(whole.is_control(1000)) << "its byte has a token";
  EXPECT_THAT(whole.encode("\xC3\xBC", AddedTokens::kRefuse), ElementsAre(0xC3, 0xBC));

  file = without_strange_bytes();
  file.added.push_back({1000 + 0xFC, "<z>", true});
  EXPECT_EQ(Tokenizer::build(file).error().field, "added_tokens") << "two tokens of one id";
  file = without_strange_bytes();
  file.added.push_back({1000 + 0xFC, "\xC3\xBC", true});
  tokenizer = Tokenizer::build(file);
  ASSERT_TRUE(tokenizer);
  EXPECT_TRUE(tokenizer->is_control(1000 + 0xFC)) << "named special anywhere, it is";
  EXPECT_THAT(tokenizer->encode("\xC3\xBC", AddedTokens::kRefuse), ElementsAre(0xC3, 0xBC));
}

// Some files list the letters in the vocabulary as well.
TEST(Tokenizer, ALetterTokenInTheVocabularyIsNoByte) {
  TokenizerFile file = without_strange_bytes();
  file.vocab.emplace_back("\xFC", 1000 + 0xFC);
  const auto tokenizer = Tokenizer::build(file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
  EXPECT_THAT(tokenizer->encode("\xC3\xBC", AddedTokens::kRefuse), ElementsAre(1000 + 0xFC));
  EXPECT_EQ(tokenizer->token_bytes(1000 + 0xFC), "\xC3\xBC");
}

TokenizerFile bytes_only() {
  TokenizerFile file;
  for (int byte = 0; byte < 256; ++byte)
    file.vocab.emplace_back(std::string(1, static_cast<char>(byte)), byte);
  return file;
}

// A table of as many tokens as the highest id says, from a file of a few bytes.
TEST(Tokenizer, AnIdFarAboveTheTokensIsRefused) {
  TokenizerFile file = bytes_only();
  file.added = {{(1 << 22) - 1, "<x>", true}};
  const auto tokenizer = Tokenizer::build(file);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().field, "model.vocab");
  file.added = {{4000, "<x>", true}};
  EXPECT_TRUE(Tokenizer::build(file)) << "reserved rows leave gaps";
}

TEST(Tokenizer, TwoTokensOfOneIdAreRefused) {
  TokenizerFile file = bytes_only();
  file.vocab.emplace_back("ab", 'c');
  EXPECT_EQ(Tokenizer::build(file).error().field, "model.vocab") << "'c' would come back as ab";
  file = bytes_only();
  file.added = {{300, "<x>", true}, {300, "<y>", true}};
  EXPECT_EQ(Tokenizer::build(file).error().field, "added_tokens");
  file.added = {{300, "<x>", true}, {301, "<x>", true}};
  EXPECT_EQ(Tokenizer::build(file).error().field, "added_tokens");
  file.added = {{300, "<x>", true}, {300, "<x>", true}};
  EXPECT_TRUE(Tokenizer::build(file)) << "the same one again";
}

// Invariant S2 against a file that is hostile itself, or careless.
TEST(Tokenizer, NoIdMakesTextAControlToken) {
  TokenizerFile file = bytes_only();
  file.vocab.emplace_back("ab", 300);
  file.merges = {{"a", "b"}};
  file.added = {{300, "<x>", true}};
  for (const bool whole_pieces : {false, true}) {
    file.whole_pieces = whole_pieces;
    const auto tokenizer = Tokenizer::build(file);
    ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
    EXPECT_THAT(tokenizer->encode("ab", AddedTokens::kRefuse), ElementsAre('a', 'b'));
    EXPECT_THAT(tokenizer->encode("<x>", AddedTokens::kAllow), ElementsAre(300));
  }
  file = bytes_only();
  file.added = {{'a', "<x>", true}};
  EXPECT_EQ(Tokenizer::build(file).error().field, "added_tokens") << "a byte cannot do without its token";
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
