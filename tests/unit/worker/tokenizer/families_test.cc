// Tokenizer files of other families, and vocabularies carried by GGUF files.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json/json.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/format/gguf_writer.h"
#include "worker/tokenizer/byte_map.h"
#include "worker/tokenizer/gguf_tokenizer.h"
#include "worker/tokenizer/split_patterns.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker {
namespace {

using test::TempDir;
using testing::ElementsAre;

constexpr const char* kTangMoe = TG_SOURCE_DIR "/models/tang-moe";

json::object original() { return json::parse_file(std::string(kTangMoe) + "/tokenizer.json").value().as_object(); }

json::object split_step(std::string_view pattern) {
  json::object regex;
  regex["Regex"] = pattern;
  json::object step;
  step["type"] = "Split";
  step["pattern"] = std::move(regex);
  step["behavior"] = "Isolated";
  step["invert"] = false;
  return step;
}

/// A Sequence of these steps and a plain byte-level one.
json::object sequence_of(std::vector<json::object> steps) {
  json::array list;
  for (json::object& step : steps) list.emplace_back(std::move(step));
  json::object bytes;
  bytes["type"] = "ByteLevel";
  bytes["add_prefix_space"] = false;
  bytes["use_regex"] = false;
  list.emplace_back(std::move(bytes));
  json::object out;
  out["type"] = "Sequence";
  out["pretokenizers"] = std::move(list);
  return out;
}

Result<TokenizerFile> load(const json::object& root) {
  const TempDir dir;
  std::ofstream(dir.file("tokenizer.json")) << json::serialize(root);
  return load_tokenizer_file(dir.file("tokenizer.json"));
}

std::span<const std::string_view> patterns_of(PreTokenizerKind kind) {
  for (const SplitPatterns& known : known_split_patterns()) {
    if (known.kind == kind) return known.patterns;
  }
  return {};
}

TEST(TokenizerFamilies, AreKnownByTheirPatterns) {
  for (const SplitPatterns& known : known_split_patterns()) {
    std::vector<json::object> steps;
    for (const std::string_view pattern : known.patterns) steps.push_back(split_step(pattern));
    json::object root = original();
    root["pre_tokenizer"] = sequence_of(std::move(steps));
    const auto file = load(root);
    ASSERT_TRUE(file) << file.error().to_string();
    EXPECT_EQ(file->pre_tokenizer, known.kind);
  }
}

TEST(TokenizerFamilies, ADigitsStepIsThePatternThatItStandsFor) {
  for (const bool single : {false, true}) {
    std::vector<json::object> steps;
    const auto patterns = patterns_of(PreTokenizerKind::kDeepseekLlm);
    for (const std::string_view pattern : patterns.first(patterns.size() - 1)) steps.push_back(split_step(pattern));
    json::object digits;
    digits["type"] = "Digits";
    digits["individual_digits"] = single;
    steps.push_back(std::move(digits));
    json::object root = original();
    root["pre_tokenizer"] = sequence_of(std::move(steps));
    const auto file = load(root);
    ASSERT_TRUE(file) << file.error().to_string();
    EXPECT_EQ(file->pre_tokenizer,
              single ? PreTokenizerKind::kDeepseekLlmSingleDigits : PreTokenizerKind::kDeepseekLlm);
  }
}

/// The demo model's file made into one of DeepSeek LLM's kind: its split patterns, no token for the bytes that no UTF-8 holds,
/// and the letters that spell them as added tokens.
json::object of_deepseek_llm() {
  json::object root = original();
  std::vector<json::object> steps;
  for (const std::string_view pattern : patterns_of(PreTokenizerKind::kDeepseekLlm)) steps.push_back(split_step(pattern));
  root["pre_tokenizer"] = sequence_of(std::move(steps));
  json::object& vocab = root.at("model").as_object().at("vocab").as_object();
  json::array& added = root.at("added_tokens").as_array();
  for (int byte = 0; byte < 256; ++byte) {
    if (byte != 0xC0 && byte != 0xC1 && byte < 0xF5) continue;
    const std::string letter = spelling_of_bytes(std::string(1, static_cast<char>(byte)));
    json::object token;
    token["id"] = vocab.at(letter);
    token["content"] = letter;
    token["normalized"] = true;
    token["special"] = false;
    added.emplace_back(std::move(token));
    vocab.erase(letter);
  }
  return root;
}

// Its answers in German lose ö and ü otherwise (deepseek-ai/DeepSeek-LLM issue 9, huggingface/tokenizers issue 1424).
TEST(TokenizerFamilies, DeepseekLlmLacksBytesAndHasLetters) {
  const auto file = load(of_deepseek_llm());
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->pre_tokenizer, PreTokenizerKind::kDeepseekLlm);
  const auto tokenizer = Tokenizer::build(*file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
  EXPECT_FALSE(tokenizer->has_every_byte());
  const std::string text = "w\xC3\xA4re, T\xC3\xBCr, h\xC3\xB6""chstens 123";
  const auto ids = tokenizer->encode(text, AddedTokens::kRefuse);
  EXPECT_EQ(ids, tokenizer->encode(text, AddedTokens::kAllow));
  EXPECT_EQ(tokenizer->decode(ids), text);
  EXPECT_THAT(ids, testing::Contains(tokenizer->control_id("\xC3\xBC").value()));
  EXPECT_THAT(ids, testing::Contains(tokenizer->control_id("\xC3\xB6").value()));
}

TEST(TokenizerFamilies, LineBreaksInAPatternMayBeCharacters) {
  std::string pattern(patterns_of(PreTokenizerKind::kQwen2).front());
  for (const auto& [escaped, character] : {std::pair("\\r", "\r"), std::pair("\\n", "\n")}) {
    for (auto at = pattern.find(escaped); at != std::string::npos; at = pattern.find(escaped)) pattern.replace(at, 2, character);
  }
  json::object root = original();
  root["pre_tokenizer"] = sequence_of({split_step(pattern)});
  const auto file = load(root);
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->pre_tokenizer, PreTokenizerKind::kQwen2);
}

TEST(TokenizerFamilies, Qwen2ComposesItsInput) {
  json::object root = original();
  root["pre_tokenizer"] = sequence_of({split_step(patterns_of(PreTokenizerKind::kQwen2).front())});
  json::object nfc;
  nfc["type"] = "NFC";
  root["normalizer"] = std::move(nfc);
  const auto file = load(root);
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_TRUE(file->nfc);
  const auto tokenizer = Tokenizer::build(*file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().to_string();
  EXPECT_EQ(tokenizer->encode("cafe\xCC\x81", AddedTokens::kRefuse), tokenizer->encode("caf\xC3\xA9", AddedTokens::kRefuse));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("cafe\xCC\x81", AddedTokens::kRefuse)), "caf\xC3\xA9");
}

/// Bytes are their own ids, "ab" is 256 and no merge leads to it.
TokenizerFile without_merges(bool whole_pieces) {
  TokenizerFile file;
  for (int byte = 0; byte < 256; ++byte) file.vocab.emplace_back(std::string(1, static_cast<char>(byte)), byte);
  file.vocab.emplace_back("ab", 256);
  file.pre_tokenizer = PreTokenizerKind::kLlama3;
  file.whole_pieces = whole_pieces;
  return file;
}

TEST(TokenizerFamilies, Llama3TakesAWholePieceThatIsAToken) {
  const auto whole = Tokenizer::build(without_merges(true));
  const auto merged = Tokenizer::build(without_merges(false));
  ASSERT_TRUE(whole && merged);
  EXPECT_THAT(whole->encode("ab", AddedTokens::kRefuse), ElementsAre(256));
  EXPECT_THAT(whole->encode("abc", AddedTokens::kRefuse), ElementsAre('a', 'b', 'c')) << "the piece, not a part of it";
  EXPECT_THAT(merged->encode("ab", AddedTokens::kRefuse), ElementsAre('a', 'b'));
}

TEST(TokenizerFamilies, AWholePieceIsNeverAControlToken) {
  TokenizerFile file = without_merges(true);
  file.added.push_back({256, "ab", true});
  const auto tokenizer = Tokenizer::build(file);
  ASSERT_TRUE(tokenizer);
  EXPECT_THAT(tokenizer->encode("ab", AddedTokens::kRefuse), ElementsAre('a', 'b'));
  EXPECT_THAT(tokenizer->encode("ab", AddedTokens::kAllow), ElementsAre(256));
}

std::string text_of(const json::value& value) { return std::string(value.as_string()); }

/// The demo model's vocabulary as a GGUF file has it.
GgufWriter gguf_vocabulary(const char* pre, const json::object& root = original()) {
  const json::object& model = root.at("model").as_object();
  const json::object& vocab = model.at("vocab").as_object();
  const json::array& added = root.at("added_tokens").as_array();
  std::int64_t top = 0;
  for (const auto& entry : vocab) top = std::max(top, entry.value().as_int64());
  for (const json::value& token : added) top = std::max(top, token.as_object().at("id").as_int64());
  std::vector<std::string> tokens(static_cast<std::size_t>(top) + 1, "[unused]");
  std::vector<std::int32_t> types(tokens.size(), 5);
  for (const auto& entry : vocab) {
    const auto id = static_cast<std::size_t>(entry.value().as_int64());
    tokens[id] = std::string(entry.key());
    types[id] = 1;
  }
  for (const json::value& value : added) {
    const json::object& token = value.as_object();
    const auto id = static_cast<std::size_t>(token.at("id").as_int64());
    tokens[id] = text_of(token.at("content"));
    types[id] = token.at("special").as_bool() ? 3 : 4;
  }
  std::vector<std::string> merges;
  for (const json::value& merge : model.at("merges").as_array()) {
    merges.push_back(merge.is_string() ? text_of(merge)
                                       : text_of(merge.as_array().at(0)) + " " + text_of(merge.as_array().at(1)));
  }
  GgufWriter writer;
  writer.text("general.architecture", "llama");
  writer.text("tokenizer.ggml.model", "gpt2");
  writer.text("tokenizer.ggml.pre", pre);
  writer.texts("tokenizer.ggml.tokens", tokens);
  writer.wholes("tokenizer.ggml.token_type", types);
  writer.texts("tokenizer.ggml.merges", merges);
  return writer;
}

TEST(GgufTokenizer, GivesTheIdsOfTheTokenizerThatItWasMadeFrom) {
  const TempDir dir;
  gguf_vocabulary("deepseek-v3").write(dir.path() / "model.gguf");
  const auto carried = Tokenizer::load(dir.path().string());
  const auto reference = Tokenizer::load(kTangMoe);
  ASSERT_TRUE(carried) << carried.error().to_string();
  ASSERT_TRUE(reference) << reference.error().to_string();
  EXPECT_EQ(carried->vocab_limit(), reference->vocab_limit());
  const auto rows = json::parse_file(TG_SOURCE_DIR "/tests/golden/tokenizer/tokenizer_tang_moe.json");
  ASSERT_TRUE(rows);
  std::size_t compared = 0;
  for (const json::value& row : rows->as_object().at("rows").as_array()) {
    const std::string text = text_of(row.as_object().at("text"));
    for (const AddedTokens added : {AddedTokens::kAllow, AddedTokens::kRefuse}) {
      const auto ids = carried->encode(text, added);
      EXPECT_EQ(ids, reference->encode(text, added)) << text;
      EXPECT_EQ(carried->decode(ids, ControlText::kKeep), reference->decode(ids, ControlText::kKeep));
    }
    ++compared;
  }
  EXPECT_EQ(compared, 300u);
}

TEST(GgufTokenizer, HasTheLettersOfDeepseekLlm) {
  const json::object root = of_deepseek_llm();
  const auto file = load(root);
  ASSERT_TRUE(file) << file.error().to_string();
  const auto reference = Tokenizer::build(*file);
  ASSERT_TRUE(reference) << reference.error().to_string();
  const TempDir dir;
  gguf_vocabulary("deepseek-llm", root).write(dir.path() / "model.gguf");
  const auto carried = Tokenizer::load(dir.path().string());
  ASSERT_TRUE(carried) << carried.error().to_string();
  EXPECT_FALSE(carried->has_every_byte());
  const std::string text = "T\xC3\xBCr \xC3\xBF\xC3\x80 \xE6\x98\xA5";
  const auto ids = carried->encode(text, AddedTokens::kRefuse);
  EXPECT_EQ(ids, reference->encode(text, AddedTokens::kRefuse));
  EXPECT_EQ(carried->decode(ids), text);
}

TEST(GgufTokenizer, TokenizerJsonBesideItWins) {
  const TempDir dir;
  gguf_vocabulary("qwen2").write(dir.path() / "model.gguf");
  std::filesystem::copy_file(std::string(kTangMoe) + "/tokenizer.json", dir.path() / "tokenizer.json");
  const auto tokenizer = Tokenizer::load(dir.path().string());
  ASSERT_TRUE(tokenizer);
  const auto reference = Tokenizer::load(kTangMoe);
  ASSERT_TRUE(reference);
  EXPECT_EQ(tokenizer->encode("1234", AddedTokens::kRefuse), reference->encode("1234", AddedTokens::kRefuse));
}

Result<TokenizerFile> read(const GgufWriter& writer) {
  const TempDir dir;
  writer.write(dir.path() / "model.gguf");
  const auto file = GgufFile::open(dir.path() / "model.gguf");
  EXPECT_TRUE(file) << file.error().to_string();
  return tokenizer_of_gguf(*file);
}

TEST(GgufTokenizer, FamiliesAreKnownByName) {
  const auto llama = read(gguf_vocabulary("llama-bpe"));
  ASSERT_TRUE(llama) << llama.error().to_string();
  EXPECT_EQ(llama->pre_tokenizer, PreTokenizerKind::kLlama3);
  EXPECT_TRUE(llama->whole_pieces);
  const auto qwen = read(gguf_vocabulary("qwen2"));
  ASSERT_TRUE(qwen);
  EXPECT_EQ(qwen->pre_tokenizer, PreTokenizerKind::kQwen2);
  EXPECT_TRUE(qwen->nfc);
}

void expect_refused(const GgufWriter& writer, std::string_view key) {
  const auto file = read(writer);
  ASSERT_FALSE(file) << key;
  EXPECT_EQ(file.error().reason, "tokenizer_unsupported");
  EXPECT_EQ(file.error().field, key);
}

TEST(GgufTokenizer, RefusesWhatItDoesNotKnow) {
  expect_refused(gguf_vocabulary("gpt-4o"), "tokenizer.ggml.pre");
  GgufWriter sentencepiece;
  sentencepiece.text("tokenizer.ggml.model", "llama");
  expect_refused(sentencepiece, "tokenizer.ggml.model");
  GgufWriter empty;
  empty.text("tokenizer.ggml.model", "gpt2");
  empty.text("tokenizer.ggml.pre", "qwen2");
  expect_refused(empty, "tokenizer.ggml.tokens");
  empty.texts("tokenizer.ggml.tokens", {"a"});
  GgufWriter types = empty;
  expect_refused(empty, "tokenizer.ggml.merges");
  types.wholes("tokenizer.ggml.token_type", {1, 1});
  expect_refused(types, "tokenizer.ggml.token_type");
  empty.texts("tokenizer.ggml.merges", {"ab"});
  expect_refused(empty, "tokenizer.ggml.merges");
}

}  // namespace
}  // namespace tidegate::worker
