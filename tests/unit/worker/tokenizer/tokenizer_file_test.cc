#include "worker/tokenizer/tokenizer_file.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "tests/support/temp_dir.h"
#include "worker/tokenizer/byte_map.h"

namespace tidegate::worker {
namespace {

std::string original() {
  std::ifstream in(TG_SOURCE_DIR "/models/tang-moe/tokenizer.json");
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

// The demo model's file with one text replaced by another.
Result<TokenizerFile> load_with(const std::string& from, const std::string& to) {
  std::string text = original();
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  const test::TempDir dir;
  std::ofstream(dir.file("tokenizer.json")) << text;
  return load_tokenizer_file(dir.file("tokenizer.json"));
}

TEST(TokenizerFile, ReadsTheDemoModel) {
  const auto file = load_tokenizer_file(TG_SOURCE_DIR "/models/tang-moe/tokenizer.json");
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->added.size(), 20U);
  EXPECT_EQ(file->merges.size(), 5851U);
}

TEST(TokenizerFile, RefusesWhatWouldGiveOtherIds) {
  const std::pair<const char*, const char*> changes[] = {
      {"\\\\p{N}{1,3}", "\\\\p{N}"},
      {"\"Isolated\"", "\"Removed\""},
      {"\"normalizers\": []", "\"normalizers\": [{\"type\": \"NFC\"}]"},
      {"\"byte_fallback\": false", "\"byte_fallback\": true"},
      {"\"add_prefix_space\": false", "\"add_prefix_space\": true"},
      {"\"lstrip\": false", "\"lstrip\": true"},
      {"\"type\": \"BPE\"", "\"type\": \"Unigram\""},
  };
  for (const auto& [from, to] : changes) {
    const auto file = load_with(from, to);
    ASSERT_FALSE(file) << to;
    EXPECT_EQ(file.error().reason, "tokenizer_unsupported") << to;
  }
}

TEST(TokenizerFile, NamesAMissingFile) {
  const auto file = load_tokenizer_file("/nonexistent/tokenizer.json");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kNotFound);
}

TEST(ByteMap, SpellsSpaceAndControlBytes) {
  EXPECT_EQ(bytes_of_spelling("Ġt"), " t");
  EXPECT_EQ(bytes_of_spelling("Ċ"), "\n");
  EXPECT_EQ(bytes_of_spelling("ä¸Ń"), "中");
  EXPECT_EQ(bytes_of_spelling("中"), std::nullopt);
}

}  // namespace
}  // namespace tidegate::worker
