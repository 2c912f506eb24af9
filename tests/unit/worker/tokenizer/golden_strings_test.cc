#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "base/json/json.h"
#include "worker/tokenizer/tokenizer.h"

namespace tidegate::worker {
namespace {

struct Row {
  std::string text;
  std::vector<TokenId> ids;        ///< added tokens recognised
  std::vector<TokenId> ids_plain;  ///< added tokens taken as text
};

std::vector<TokenId> ids_of(const json::value& value) {
  std::vector<TokenId> ids;
  for (const json::value& id : value.as_array()) ids.push_back(static_cast<TokenId>(id.as_int64()));
  return ids;
}

std::vector<Row> rows_of(const std::string& file, const char* key) {
  const auto document = json::parse_file(std::string(TG_SOURCE_DIR "/tests/golden/tokenizer/") + file);
  EXPECT_TRUE(document) << document.error().to_string();
  std::vector<Row> rows;
  if (!document) return rows;
  for (const json::value& row : document->as_object().at(key).as_array()) {
    const json::object& object = row.as_object();
    rows.push_back({std::string(object.at("text").as_string()), ids_of(object.at("ids")),
                    ids_of(object.at("ids_plain"))});
  }
  return rows;
}

struct Golden {
  std::string name;
  std::string model_dir;
  std::string file;
  std::size_t rows;
};

class GoldenStrings : public testing::TestWithParam<Golden> {
 protected:
  void SetUp() override {
    auto loaded = Tokenizer::load(GetParam().model_dir);
    ASSERT_TRUE(loaded) << loaded.error().to_string();
    tokenizer_ = std::make_unique<Tokenizer>(*std::move(loaded));
    rows_ = rows_of(GetParam().file, "rows");
    const auto more = rows_of(GetParam().file, "unverified");
    ASSERT_EQ(rows_.size(), GetParam().rows);
    rows_.insert(rows_.end(), more.begin(), more.end());
  }
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<Row> rows_;
};

TEST_P(GoldenStrings, EncodeAsTheReferenceDoes) {
  for (const Row& row : rows_)
    EXPECT_EQ(tokenizer_->encode(row.text, AddedTokens::kAllow), row.ids) << row.text;
}

TEST_P(GoldenStrings, EncodeUserTextWithoutAddedTokens) {
  for (const Row& row : rows_)
    EXPECT_EQ(tokenizer_->encode(row.text, AddedTokens::kRefuse), row.ids_plain) << row.text;
}

TEST_P(GoldenStrings, DecodeBackToTheSameBytes) {
  for (const Row& row : rows_) {
    EXPECT_EQ(tokenizer_->decode(row.ids, ControlText::kKeep), row.text);
    EXPECT_EQ(tokenizer_->decode(row.ids_plain), row.text);
  }
}

TEST_P(GoldenStrings, SomeRowsSpellAddedTokens) {
  // Otherwise the first two claims would be one.
  std::size_t differing = 0;
  for (const Row& row : rows_) differing += row.ids != row.ids_plain ? 1 : 0;
  EXPECT_GT(differing, 20U);
}

INSTANTIATE_TEST_SUITE_P(
    Models, GoldenStrings,
    testing::Values(Golden{"TangMoe", TG_SOURCE_DIR "/models/tang-moe", "tokenizer_tang_moe.json", 300},
                    Golden{"DeepseekV3", TG_DEEPSEEK_V3_DIR, "tokenizer_deepseek_v3.json", 1000}),
    [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace tidegate::worker
