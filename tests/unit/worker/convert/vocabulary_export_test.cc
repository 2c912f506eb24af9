// A vocabulary that goes into a GGUF file and comes out again is the same tokenizer.
#include "worker/convert/vocabulary_export.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "base/json/json_dump.h"
#include "tests/support/temp_dir.h"
#include "worker/tokenizer/byte_map.h"
#include "worker/tokenizer/gguf_tokenizer.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker::vocabulary_export_test {
namespace {

const std::string kTang = std::string(TG_SOURCE_DIR) + "/models/tang-moe";
const std::vector<std::string> kTexts{"春江花月夜", "Hello, world! 123 4567", "  two\n\nlines\r\n", "<｜User｜>你好<think>", "🌊 naïve \t x"};

TokenizerFile tang() {
  auto file = load_tokenizer_file(kTang + "/tokenizer.json");
  EXPECT_TRUE(file) << file.error().to_string();
  return *std::move(file);
}

void expect_same_ids(const Tokenizer& a, const Tokenizer& b) {
  for (const std::string& text : kTexts) {
    for (const AddedTokens added : {AddedTokens::kRefuse, AddedTokens::kAllow}) {
      EXPECT_EQ(a.encode(text, added), b.encode(text, added)) << text;
    }
  }
}

TEST(ByteMap, EverySpellingIsOfItsBytes) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  const std::string spelling = spelling_of_bytes(all);
  EXPECT_EQ(bytes_of_spelling(spelling), all);
  EXPECT_EQ(spelling_of_bytes(" a\n"), "\u0120a\u010a");
}

TEST(VocabularyExport, GgufKeepsTheTokenizer) {
  const TokenizerFile file = tang();
  const auto facts = read_vocabulary_facts(kTang, file);
  ASSERT_TRUE(facts) << facts.error().to_string();
  EXPECT_EQ(facts->bos, 0);
  EXPECT_EQ(facts->eos, 1);
  EXPECT_EQ(facts->add_bos, true);
  EXPECT_FALSE(facts->chat_template.empty());
  GgufHead head;
  ASSERT_TRUE(put_vocabulary(file, *facts, 6144, head));
  const test::TempDir dir;
  std::ofstream(dir.file("x.gguf"), std::ios::binary) << head.bytes({});
  const auto gguf = GgufFile::open(dir.file("x.gguf"));
  ASSERT_TRUE(gguf) << gguf.error().to_string();
  const auto carried = tokenizer_of_gguf(*gguf);
  ASSERT_TRUE(carried) << carried.error().to_string();
  EXPECT_EQ(carried->merges, file.merges);
  EXPECT_EQ(carried->vocab.size(), file.vocab.size());
  expect_same_ids(Tokenizer::build(*carried).value(), Tokenizer::build(file).value());
  EXPECT_EQ((*gguf->find_texts("tokenizer.ggml.tokens"))->size(), 6144u) << "one for every row";
  const auto back = vocabulary_facts_of_gguf(*gguf);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->chat_template, facts->chat_template);
  EXPECT_EQ(back->eos, facts->eos);
}

TEST(VocabularyExport, TurnMarkersAreControlTokensAndThinkTagsAreNot) {
  const TokenizerFile file = tang();
  GgufHead head;
  ASSERT_TRUE(put_vocabulary(file, {}, 6144, head));
  const test::TempDir dir;
  std::ofstream(dir.file("x.gguf"), std::ios::binary) << head.bytes({});
  const auto gguf = GgufFile::open(dir.file("x.gguf"));
  ASSERT_TRUE(gguf);
  const auto& types = **gguf->find_integers("tokenizer.ggml.token_type");
  for (const AddedToken& added : file.added) {
    const std::int64_t type = types[static_cast<std::size_t>(added.id)];
    if (added.text == "<｜User｜>" || added.special) {
      EXPECT_EQ(type, 3) << added.text;
    }
    if (added.text == "<think>") {
      EXPECT_EQ(type, 4);
    }
  }
  EXPECT_EQ(types[6143], 5) << "padding rows are unused";
}

TEST(VocabularyExport, TokenizerJsonKeepsTheTokenizer) {
  const TokenizerFile file = tang();
  const test::TempDir dir;
  std::ofstream(dir.file("tokenizer.json"), std::ios::binary) << json::dump(json::value(tokenizer_json_of(file)));
  const auto again = load_tokenizer_file(dir.file("tokenizer.json"));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->pre_tokenizer, file.pre_tokenizer);
  EXPECT_EQ(again->merges, file.merges);
  expect_same_ids(Tokenizer::build(*again).value(), Tokenizer::build(file).value());
}

TEST(VocabularyExport, EveryKindOfSplitComesBack) {
  TokenizerFile file = tang();
  for (const PreTokenizerKind kind : {PreTokenizerKind::kDeepseekV3, PreTokenizerKind::kQwen2, PreTokenizerKind::kLlama3,
                                      PreTokenizerKind::kDeepseekLlm, PreTokenizerKind::kDeepseekLlmSingleDigits,
                                      PreTokenizerKind::kDeepseekCoder}) {
    file.pre_tokenizer = kind;
    file.whole_pieces = kind == PreTokenizerKind::kLlama3;
    file.nfc = kind == PreTokenizerKind::kQwen2;
    const test::TempDir dir;
    std::ofstream(dir.file("tokenizer.json"), std::ios::binary) << json::dump(json::value(tokenizer_json_of(file)));
    const auto again = load_tokenizer_file(dir.file("tokenizer.json"));
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(again->pre_tokenizer, kind);
    EXPECT_EQ(again->whole_pieces, file.whole_pieces);
    EXPECT_EQ(again->nfc, file.nfc);

    GgufHead head;
    const Status put = put_vocabulary(file, {}, 6144, head);
    if (kind == PreTokenizerKind::kDeepseekLlmSingleDigits) {
      EXPECT_FALSE(put) << "llama.cpp has no name for it";
      continue;
    }
    ASSERT_TRUE(put) << put.error().to_string();
    std::ofstream(dir.file("x.gguf"), std::ios::binary) << head.bytes({});
    const auto gguf = GgufFile::open(dir.file("x.gguf"));
    ASSERT_TRUE(gguf);
    const auto carried = tokenizer_of_gguf(*gguf);
    ASSERT_TRUE(carried) << carried.error().to_string();
    EXPECT_EQ(carried->pre_tokenizer, kind);
    EXPECT_EQ(carried->whole_pieces, file.whole_pieces);
    EXPECT_EQ(carried->nfc, file.nfc);
  }
}

TEST(VocabularyExport, MoreTokensThanRowsAreRefused) {
  GgufHead head;
  const Status put = put_vocabulary(tang(), {}, 100, head);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().reason, "bad_conversion");
}

}  // namespace
}  // namespace tidegate::worker::vocabulary_export_test
