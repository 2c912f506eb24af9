#include "base/crypto/sealed_box.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/core/encoding.h"

namespace tidegate {
namespace {

/// Fixed nonces, for the published vector.
class FixedBytes final : public EntropySource {
 public:
  explicit FixedBytes(std::string bytes) : bytes_(std::move(bytes)) {}
  void fill(void* data, std::size_t size) override {
    auto* out = static_cast<char*>(data);
    for (std::size_t i = 0; i < size; ++i) out[i] = bytes_[i % bytes_.size()];
  }

 private:
  std::string bytes_;
};

Digest key_of(char fill) {
  Digest key;
  key.fill(static_cast<std::uint8_t>(fill));
  return key;
}

TEST(SealedBox, IsAes256GcmAsPublished) {
  // Test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation".
  Digest key;
  const std::string raw = *hex_decode("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  std::copy(raw.begin(), raw.end(), key.begin());
  FixedBytes nonce(*hex_decode("cafebabefacedbaddecaf888"));
  const std::string plain = *hex_decode(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657"
      "ba637b39");
  const std::string context = *hex_decode("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const std::string box = seal_box(key, plain, context, nonce);
  EXPECT_EQ(hex_encode(std::string_view(box).substr(1)),
            "cafebabefacedbaddecaf888"
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393"
            "ba7a0abcc9f662"
            "76fc6ece0f4e1768cddf8853bb2d551b");
  EXPECT_EQ(open_box(key, box, context).value(), plain);
}

TEST(SealedBox, OpensWithItsKeyAndContextOnly) {
  SystemEntropy entropy;
  for (const std::string& plain : {std::string(), std::string("an answer"), std::string(1 << 20, 'x')}) {
    const std::string box = seal_box(key_of(1), plain, "here", entropy);
    EXPECT_EQ(box.size(), plain.size() + 29);
    EXPECT_EQ(open_box(key_of(1), box, "here").value(), plain);
    EXPECT_EQ(open_box(key_of(2), box, "here").error().reason, "bad_seal");
    EXPECT_EQ(open_box(key_of(1), box, "there").error().reason, "bad_seal");
  }
}

TEST(SealedBox, EveryChangedOrMissingByteIsNoticed) {
  SystemEntropy entropy;
  const std::string box = seal_box(key_of(1), "an answer", "", entropy);
  for (std::size_t i = 0; i < box.size(); ++i) {
    std::string changed = box;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(open_box(key_of(1), changed, "")) << i;
    EXPECT_FALSE(open_box(key_of(1), box.substr(0, i), "")) << i;
  }
  EXPECT_FALSE(open_box(key_of(1), box + "x", ""));
}

TEST(SealedBox, TheSameTextSealsDifferentlyEachTime) {
  SystemEntropy entropy;
  EXPECT_NE(seal_box(key_of(1), "an answer", "", entropy), seal_box(key_of(1), "an answer", "", entropy));
}

}  // namespace
}  // namespace tidegate
