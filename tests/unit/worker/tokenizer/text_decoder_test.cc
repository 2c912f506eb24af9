#include "worker/tokenizer/text_decoder.h"

#include <gmock/gmock.h>

#include "base/core/encoding.h"
#include "base/core/random.h"

namespace tidegate::worker {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";

TEST(TextDecoder, HoldsACharacterUntilItIsWhole) {
  TextDecoder decoder;
  EXPECT_EQ(decoder.feed("\xE6"), "");
  EXPECT_EQ(decoder.feed("\x9C"), "");
  EXPECT_EQ(decoder.feed("\x88!"), "月!");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(TextDecoder, ReplacesABrokenCharacterOnceItIsCertain) {
  TextDecoder decoder;
  EXPECT_EQ(decoder.feed("\xE6\x9C"), "");
  EXPECT_EQ(decoder.feed("a"), std::string(kReplacement) + "a");
  EXPECT_EQ(decoder.feed("\xFF"), kReplacement);
}

TEST(TextDecoder, ReplacesAnUnfinishedCharacterAtTheEndOnly) {
  TextDecoder decoder;
  EXPECT_EQ(decoder.feed("\xF0\x9F\x98"), "");
  EXPECT_EQ(decoder.finish(), kReplacement);
  EXPECT_EQ(decoder.finish(), "");
}

TEST(TextDecoder, RefusesOverlongFormsAndSurrogates) {
  TextDecoder decoder;
  const std::string text = decoder.feed("\xC0\xAF\xE0\x80\x80\xED\xA0\x80\xF4\x90\x80\x80");
  EXPECT_TRUE(is_valid_utf8(text));
  EXPECT_EQ(decoder.finish(), "");
}

TEST(TextDecoder, OutputIsValidAndIndependentOfChunking) {
  Rng rng(11);
  const std::string alphabet = "a\xE6\x9C\x88\xF0\x9F\x98\x80\xC3\xA9\xFF\xED\xA0\xC0";
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (std::uint64_t n = rng.below(16); n > 0; --n) bytes.push_back(alphabet[rng.below(alphabet.size())]);
    TextDecoder whole;
    std::string expected = whole.feed(bytes);
    expected += whole.finish();
    TextDecoder pieces;
    std::string joined;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t take = std::min<std::size_t>(1 + rng.below(3), bytes.size() - at);
      const std::string text = pieces.feed(std::string_view(bytes).substr(at, take));
      EXPECT_TRUE(is_valid_utf8(text));
      joined += text;
      at += take;
    }
    joined += pieces.finish();
    EXPECT_EQ(joined, expected);
    if (is_valid_utf8(bytes)) {
      EXPECT_EQ(expected, bytes);
    }
  }
}

}  // namespace
}  // namespace tidegate::worker
