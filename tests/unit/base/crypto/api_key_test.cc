#include "base/crypto/api_key.h"

#include <gtest/gtest.h>

#include <set>

#include "base/core/encoding.h"

namespace tidegate {
namespace {

/// Counts upwards, so that keys are the same in every run.
class CountingEntropy final : public EntropySource {
 public:
  void fill(void* data, std::size_t size) override {
    for (std::size_t i = 0; i < size; ++i) static_cast<std::uint8_t*>(data)[i] = next_++;
  }

 private:
  std::uint8_t next_ = 0;
};

TEST(ApiKey, AMintedKeyParses) {
  SystemEntropy entropy;
  for (const KeyKind kind : {KeyKind::kTenant, KeyKind::kAdmin}) {
    const MintedKey key = mint_api_key(entropy, kind);
    const auto parsed = parse_api_key(key.text);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->kind, kind);
    EXPECT_EQ(parsed->public_id, key.public_id);
    EXPECT_EQ(key.text.size(), 4u + 8 + 1 + 32 + 6);
  }
}

TEST(ApiKey, TheTextIsFixedForEver) {
  CountingEntropy entropy;
  const auto text = mint_api_key(entropy, KeyKind::kTenant).text;
  EXPECT_EQ(text.substr(0, 45), "tgk_01234567_mnopqrstuvwxyz0123456789ABCDEFGH");
  // zlib.crc32 over the 45 characters before, in base62.
  EXPECT_EQ(text.substr(45), "32tXB7");
  EXPECT_TRUE(parse_api_key(text));
}

TEST(ApiKey, EverySingleCharacterErrorIsNoticed) {
  CountingEntropy entropy;
  const auto text = mint_api_key(entropy, KeyKind::kTenant).text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string wrong = text;
    wrong[i] = wrong[i] == 'x' ? 'y' : 'x';
    EXPECT_FALSE(parse_api_key(wrong)) << i;
  }
}

TEST(ApiKey, RefusalsNeverRepeatTheText) {
  for (const auto* text : {"", "tgk_", "sk-abcdef", "tgk_01234567_mnopqrstuvwxyz0123456789ABCDEFGH32tXB8",
                           "tgx_01234567_mnopqrstuvwxyz0123456789ABCDEFGH32tXB7"}) {
    const auto parsed = parse_api_key(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::kUnauthenticated);
    EXPECT_EQ(parsed.error().reason, "invalid_api_key");
    EXPECT_EQ(parsed.error().message.find("0123"), std::string::npos);
  }
}

TEST(ApiKey, KeysDiffer) {
  SystemEntropy entropy;
  std::set<std::string> texts;
  for (int i = 0; i < 1000; ++i) texts.insert(mint_api_key(entropy, KeyKind::kTenant).text);
  EXPECT_EQ(texts.size(), 1000u);
}

TEST(ApiKey, TheMacDependsOnThePepper) {
  EXPECT_NE(api_key_mac("a", "tgk_x"), api_key_mac("b", "tgk_x"));
  EXPECT_EQ(hex_encode(as_view(api_key_mac("key", "The quick brown fox jumps over the lazy dog"))),
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
}

}  // namespace
}  // namespace tidegate
