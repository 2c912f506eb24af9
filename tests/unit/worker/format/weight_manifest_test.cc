#include "worker/format/weight_manifest.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace tidegate::worker::weight_manifest_test {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(WeightManifest, SaysTheDigestOfItsWeights) {
  const auto digest = manifest_digest(R"({"manifest_version":1,"format":"gguf","weights_digest":")" + kDigest + R"("})");
  ASSERT_TRUE(digest) << digest.error().to_string();
  EXPECT_EQ(*digest, kDigest);
}

TEST(WeightManifest, ABrokenOneIsRefusedByTheNameOfItsMember) {
  const std::pair<std::string, const char*> broken[] = {
      {"", ""},
      {"[]", ""},
      {std::string(kManifestBytesMax + 1, ' '), ""},
      {R"({"weights_digest":")" + kDigest + R"("})", "manifest_version"},
      {R"({"manifest_version":2,"weights_digest":")" + kDigest + R"("})", "manifest_version"},
      {R"({"manifest_version":1})", "weights_digest"},
      {R"({"manifest_version":1,"weights_digest":7})", "weights_digest"},
      {R"({"manifest_version":1,"weights_digest":"sha256:00"})", "weights_digest"},
      {R"({"manifest_version":1,"weights_digest":"sha256:)" + std::string(64, 'G') + R"("})", "weights_digest"},
  };
  for (const auto& [text, field] : broken) {
    const auto digest = manifest_digest(text);
    ASSERT_FALSE(digest) << text;
    EXPECT_EQ(digest.error().reason, "bad_manifest") << text;
    EXPECT_EQ(digest.error().field, field) << text;
    EXPECT_NE(digest.error().message.find("manifest.json"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace tidegate::worker::weight_manifest_test
