#include "worker/tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>

#include <string>

#include "base/core/random.h"
#include "worker/tokenizer/char_class.h"

namespace tidegate::worker {
namespace {

using testing::ElementsAre;

std::vector<std::string_view> split(std::string_view text) {
  return split_pieces(PreTokenizerKind::kDeepseekV3, text);
}

TEST(PreTokenizer, NumbersStandInGroupsOfThree) {
  EXPECT_THAT(split("12345x"), ElementsAre("123", "45", "x"));
  EXPECT_THAT(split("½²٣४"), ElementsAre("½²٣", "४"));
}

TEST(PreTokenizer, ASpaceJoinsTheWordThatFollows) {
  EXPECT_THAT(split("a b  c"), ElementsAre("a", " b", " ", " c"));
  EXPECT_THAT(split("a\tb"), ElementsAre("a", "\tb"));
}

TEST(PreTokenizer, SpaceBeforeANumberStaysAlone) {
  EXPECT_THAT(split("a  1"), ElementsAre("a", "  ", "1"));
}

TEST(PreTokenizer, WhitespaceEndsAtTheLastLineBreak) {
  EXPECT_THAT(split("a \n \n  b"), ElementsAre("a", " \n \n", " ", " b"));
  EXPECT_THAT(split("a\r\n"), ElementsAre("a", "\r\n"));
}

TEST(PreTokenizer, PunctuationTakesAsciiLettersOrLineBreaks) {
  EXPECT_THAT(split("x.y"), ElementsAre("x", ".y"));
  EXPECT_THAT(split("x.é"), ElementsAre("x", ".", "é"));
  EXPECT_THAT(split(" ...\n\nx"), ElementsAre(" ...\n\n", "x"));
}

TEST(PreTokenizer, ChineseStandsApartFromLatinAndPunctuation) {
  EXPECT_THAT(split("写a诗，b"), ElementsAre("写", "a", "诗", "，", "b"));
  EXPECT_THAT(split("カ・ナ"), ElementsAre("カ", "・", "ナ"));
}

TEST(PreTokenizer, ChineseIsTheRangeOfThePatternNotOfUnicode) {
  EXPECT_THAT(split("龥龦"),
              ElementsAre("龥", "龦"));  // U+9FA5 is its last, U+9FA6 is a letter like any other
  EXPECT_THAT(split("aーb"), ElementsAre("a", "ー", "b"));
  EXPECT_THAT(split("漢゛ヿ"), ElementsAre("漢", "゛", "ヿ"));
}

TEST(PreTokenizer, ALineBreakJoinsNoWord) {
  EXPECT_THAT(split("\nabc"), ElementsAre("\n", "abc"));
}

TEST(PreTokenizer, WhatNoPatternMatchesIsAPieceOfItsOwn) {
  EXPECT_THAT(split(std::string_view("\x01\x02.", 3)), ElementsAre("\x01\x02", "."));
}

TEST(PreTokenizer, NextLineIsWhitespace) {
  EXPECT_THAT(split("x \xC2\x85 y"), ElementsAre("x", " \xC2\x85", " y"));
}

TEST(PreTokenizer, PiecesJoinToTheTextForAnyBytes) {
  Rng rng(1);
  const std::string alphabet = "a1. \n\r\t\xE5\x86\x99\xC2\x85\xFF\xCC\x81<|>";
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (std::uint64_t n = rng.below(24); n > 0; --n) text.push_back(alphabet[rng.below(alphabet.size())]);
    std::string joined;
    for (const auto piece : split(text)) {
      EXPECT_FALSE(piece.empty());
      joined += piece;
    }
    EXPECT_EQ(joined, text);
  }
}

TEST(CharClass, KnowsOneOfEachKind) {
  EXPECT_EQ(char_class('a'), CharClass::kLetter);
  EXPECT_EQ(char_class(0x0301), CharClass::kMark);
  EXPECT_EQ(char_class('7'), CharClass::kNumber);
  EXPECT_EQ(char_class(0xFF0C), CharClass::kPunct);
  EXPECT_EQ(char_class('+'), CharClass::kSymbol);
  EXPECT_EQ(char_class(0x3000), CharClass::kSpace);
  EXPECT_EQ(char_class(0xFEFF), CharClass::kOther);
  EXPECT_EQ(char_class(0x1F600), CharClass::kSymbol);
  EXPECT_EQ(char_class(0x20000), CharClass::kLetter);
  EXPECT_EQ(char_class(0x10FFFF), CharClass::kOther);
}

TEST(CharClass, InvalidBytesAreSingleCharacters) {
  for (const std::string text : {"\xFF", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE5\x86"}) {
    EXPECT_EQ(char_at(text, 0).bytes, 1U);
    EXPECT_EQ(char_at(text, 0).char_class, CharClass::kOther);
  }
}

}  // namespace
}  // namespace tidegate::worker
