// Every pre-tokenizer against an independent regular expression engine: tests/golden/tokenizer/pieces.json holds what the
// patterns themselves cut out of a thousand texts.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/core/random.h"
#include "base/json/json.h"
#include "worker/tokenizer/nfc.h"
#include "worker/tokenizer/pre_tokenizer.h"

namespace tidegate::worker {
namespace {

json::value golden(const char* file) {
  auto document = json::parse_file(std::string(TG_SOURCE_DIR "/tests/golden/tokenizer/") + file);
  EXPECT_TRUE(document) << document.error().to_string();
  return document ? *std::move(document) : json::value(json::object());
}

struct Split {
  const char* name;
  PreTokenizerKind kind;
};

class Splits : public testing::TestWithParam<Split> {};

TEST_P(Splits, CutWhereThePatternsDo) {
  const json::value texts = golden("tokenizer_deepseek_v3.json");
  const json::value pieces = golden("pieces.json");
  const json::array& rows = texts.as_object().at("rows").as_array();
  const json::array& expected = pieces.as_object().at(GetParam().name).as_array();
  ASSERT_EQ(rows.size(), expected.size());
  ASSERT_EQ(rows.size(), 1000u);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string text(rows[i].as_object().at("text").as_string());
    std::vector<std::int64_t> lengths;
    for (const json::value& length : expected[i].as_array()) lengths.push_back(length.as_int64());
    std::vector<std::int64_t> actual;
    std::string joined;
    for (const std::string_view piece : split_pieces(GetParam().kind, text)) {
      actual.push_back(std::ssize(piece));
      joined += piece;
    }
    EXPECT_EQ(actual, lengths) << i << ": " << text;
    EXPECT_EQ(joined, text);
  }
}

TEST_P(Splits, KeepEveryByteOfAnyText) {
  Rng rng(3);
  const std::string alphabet = "a1.' \n\r\tsTlRe\xE5\x86\x99\xC2\x85\xFF\xCC\x81<|>\xC5\xBF\xE3\x80\x80";
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (std::uint64_t n = rng.below(24); n > 0; --n) text.push_back(alphabet[rng.below(alphabet.size())]);
    std::string joined;
    for (const auto piece : split_pieces(GetParam().kind, text)) {
      EXPECT_FALSE(piece.empty());
      joined += piece;
    }
    EXPECT_EQ(joined, text);
  }
}

TEST_P(Splits, AreLinearInAMegabyteOfAnything) {
  // A quadratic one would take minutes here.
  for (const char* unit : {" ", "a", "1", "'", "\n", " \xE3\x80\x80", "\xE5\x86\x99", "."}) {
    std::string text;
    while (text.size() < (1u << 20)) text += unit;
    text += "x";
    EXPECT_FALSE(split_pieces(GetParam().kind, text).empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Splits,
                         testing::Values(Split{"deepseek_v3", PreTokenizerKind::kDeepseekV3},
                                         Split{"qwen2", PreTokenizerKind::kQwen2},
                                         Split{"llama3", PreTokenizerKind::kLlama3},
                                         Split{"deepseek_llm", PreTokenizerKind::kDeepseekLlm},
                                         Split{"deepseek_llm_single_digits", PreTokenizerKind::kDeepseekLlmSingleDigits},
                                         Split{"deepseek_coder", PreTokenizerKind::kDeepseekCoder}),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

std::vector<std::string> split(PreTokenizerKind kind, std::string_view text) {
  std::vector<std::string> out;
  for (const auto piece : split_pieces(kind, text)) out.emplace_back(piece);
  return out;
}

TEST(Gpt4Split, ContractionsStandAloneInAnyCase) {
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(split(PreTokenizerKind::kQwen2, "it'S we'Ll don't"), (Pieces{"it", "'S", " we", "'Ll", " don", "'t"}));
  EXPECT_EQ(split(PreTokenizerKind::kQwen2, "o'clock"), (Pieces{"o", "'clock"}));
  EXPECT_EQ(split(PreTokenizerKind::kQwen2, "x'\xC5\xBF"), (Pieces{"x", "'\xC5\xBF"})) << "the long s folds to s";
  EXPECT_EQ(split(PreTokenizerKind::kQwen2, "'r'"), (Pieces{"'r", "'"}));
}

TEST(Gpt4Split, DigitsAreGroupedByTheModel) {
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(split(PreTokenizerKind::kLlama3, "12345"), (Pieces{"123", "45"}));
  EXPECT_EQ(split(PreTokenizerKind::kQwen2, "123"), (Pieces{"1", "2", "3"}));
}

TEST(DeepseekLlmSplit, WhitespaceGoesBeforeWordsAndStandsAtTheEnd) {
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(split(PreTokenizerKind::kDeepseekLlm, "a  b  \nc  "), (Pieces{"a", " ", " b", "  ", "\n", "c", "  "}));
  EXPECT_EQ(split(PreTokenizerKind::kDeepseekLlm, "x12\xE5\x86\x99"), (Pieces{"x", "12", "\xE5\x86\x99"}));
  EXPECT_EQ(split(PreTokenizerKind::kDeepseekLlmSingleDigits, "x12"), (Pieces{"x", "1", "2"}));
}

TEST(Nfc, EqualsTheReference) {
  const json::value document = golden("nfc.json");
  const json::array& rows = document.as_object().at("rows").as_array();
  EXPECT_GT(rows.size(), 400u);
  std::size_t changed = 0;
  for (const json::value& row : rows) {
    const std::string text(row.as_array().at(0).as_string());
    const std::string expected(row.as_array().at(1).as_string());
    EXPECT_EQ(to_nfc(text), expected) << text;
    EXPECT_EQ(to_nfc(expected), expected) << "once is enough";
    changed += text != expected ? 1 : 0;
  }
  EXPECT_GT(changed, 100u);
}

TEST(Nfc, LeavesBytesThatAreNoText) {
  const std::string bytes = "e\xCC\x81\xFF\xCC\xE5\x86";
  EXPECT_EQ(to_nfc(bytes), "\xC3\xA9\xFF\xCC\xE5\x86");
}

}  // namespace
}  // namespace tidegate::worker
