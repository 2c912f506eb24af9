#include "base/core/encoding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace tidegate {
namespace {

TEST(Hex, EveryByteReadsBack) {
  std::string raw;
  for (int i = 0; i < 256; ++i) raw += static_cast<char>(i);
  EXPECT_EQ(hex_decode(hex_encode(raw)), raw);
  EXPECT_EQ(hex_encode(std::string("\x00\xff", 2)), "00ff");
  EXPECT_EQ(hex_decode("0aFF"), std::string("\x0a\xff"));
  EXPECT_FALSE(hex_decode("abc"));
  EXPECT_FALSE(hex_decode("zz"));
}

TEST(Base64Url, TheVectorsOfTheRfcReadBothWays) {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"}};
  for (const auto& [raw, text] : vectors) {
    EXPECT_EQ(base64url_encode(raw), text);
    EXPECT_EQ(base64url_decode(text), raw);
  }
}

TEST(Base64Url, OneTextForOneMeaning) {
  for (const char* text : {"Zg==", "Z", "Zh", "Zm9", "+/8", "Zm9v\n", "Zm 9v"})
    EXPECT_FALSE(base64url_decode(text)) << text;
}

TEST(Base62, PadsAndReadsBack) {
  EXPECT_EQ(base62_encode(0, 4), "0000");
  EXPECT_EQ(base62_encode(61, 2), "0z");
  EXPECT_EQ(base62_encode(62, 2), "10");
  for (const std::uint64_t value : {0ULL, 1ULL, 61ULL, 62ULL, 4294967295ULL, 839299365868340223ULL}) {
    EXPECT_EQ(base62_decode(base62_encode(value, 10)), value);
  }
  EXPECT_FALSE(base62_decode("a-b"));
  EXPECT_FALSE(base62_decode("00000000000"));
}

TEST(Crc32c, MatchesThePublishedVectors) {
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);    // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
}

TEST(Crc32c, ChainsOverAnySplit) {
  const std::string text = "the tide gate counts every token exactly once";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(crc32c(text.substr(cut), crc32c(text.substr(0, cut))), crc32c(text));
  }
}

TEST(Utf8, AcceptsExactlyWhatUnicodeDoes) {
  for (const char* good : {"", "plain", "caf\xc3\xa9", "\xe6\xbd\xae", "\xf0\x9f\x8c\x8a", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_valid_utf8(good)) << good;
  }
  for (const char* bad : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
                          "a\xff", "\xe6\xbd", "\xf0\x9f\x8c"}) {
    EXPECT_FALSE(is_valid_utf8(bad)) << bad;
  }
}

TEST(Utf8, APrefixEndsBetweenCharacters) {
  EXPECT_EQ(utf8_prefix("plain", 5), "plain");
  EXPECT_EQ(utf8_prefix("plain", 3), "pla");
  const std::string_view mixed = "a\xc3\xa9\xe6\xbd\xae\xf0\x9f\x8c\x8a";  // 1, 2, 3 and 4 bytes
  for (std::size_t size = 0; size <= mixed.size() + 1; ++size) {
    const std::string_view cut = utf8_prefix(mixed, size);
    EXPECT_TRUE(is_valid_utf8(cut)) << size;
    EXPECT_LE(cut.size(), size);
    EXPECT_GE(cut.size() + 3, std::min(size, mixed.size())) << "no more than a part of a character is left out";
  }
}

}  // namespace
}  // namespace tidegate
