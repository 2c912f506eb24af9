#include "worker/format/checkpoint.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/unit/worker/format/safetensors_writer.h"

namespace tidegate::worker {
namespace {

using test::TempDir;

constexpr std::string_view kOneTensor = R"({"NAME":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";

std::string header_of(const std::string& name) {
  std::string header(kOneTensor);
  return header.replace(header.find("NAME"), 4, name);
}

class CheckpointFolder : public testing::Test {
 protected:
  void shard(const std::string& file, const std::string& tensor) {
    write_safetensors(folder() / file, header_of(tensor), zeros(4));
  }
  void index(const std::string& weight_map) {
    std::ofstream(folder() / "model.safetensors.index.json") << R"({"weight_map":)" << weight_map << "}";
  }
  std::filesystem::path folder() const { return dir_.path(); }

 private:
  TempDir dir_;
};

TEST_F(CheckpointFolder, OneFileNeedsNoIndex) {
  shard("model.safetensors", "a");
  const auto checkpoint = Checkpoint::open(folder());
  ASSERT_TRUE(checkpoint) << checkpoint.error().to_string();
  EXPECT_NE(checkpoint->find("a"), nullptr);
  EXPECT_EQ(checkpoint->find("b"), nullptr);
}

TEST_F(CheckpointFolder, ShardsAreJoinedByTheIndex) {
  shard("model-00001-of-00002.safetensors", "a");
  shard("model-00002-of-00002.safetensors", "b");
  index(R"({"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"})");
  const auto checkpoint = Checkpoint::open(folder());
  ASSERT_TRUE(checkpoint) << checkpoint.error().to_string();
  EXPECT_NE(checkpoint->find("a"), nullptr);
  EXPECT_NE(checkpoint->find("b"), nullptr);
}

TEST_F(CheckpointFolder, DigestOfOneFileIsItsSha256) {
  std::ofstream(folder() / "model.safetensors", std::ios::binary) << std::string("\x02\0\0\0\0\0\0\0{}", 10);
  const auto checkpoint = Checkpoint::open(folder());
  ASSERT_TRUE(checkpoint);
  // printf '\x02\0\0\0\0\0\0\0{}' | sha256sum
  EXPECT_EQ(checkpoint->digest(), "sha256:411a485216e432ece6b9af94fa32154cf79a2a56d4f81266baa50063f45092bd");
}

TEST_F(CheckpointFolder, DigestChangesWithAnyShard) {
  shard("s1.safetensors", "a");
  shard("s2.safetensors", "b");
  index(R"({"a":"s1.safetensors","b":"s2.safetensors"})");
  const std::string before = Checkpoint::open(folder())->digest();
  write_safetensors(folder() / "s2.safetensors", header_of("b"), "\x01\x02\x03\x04");
  EXPECT_NE(Checkpoint::open(folder())->digest(), before);
}

TEST_F(CheckpointFolder, WithoutWeightsIsNotFound) {
  const auto checkpoint = Checkpoint::open(folder());
  ASSERT_FALSE(checkpoint);
  EXPECT_EQ(checkpoint.error().reason, "no_weights");
}

TEST_F(CheckpointFolder, AnIndexThatDoesNotMatchItsShardsIsRefused) {
  shard("s1.safetensors", "a");
  shard("s2.safetensors", "a");
  for (const char* bad : {
           R"({"b":"s1.safetensors"})",                       // tensor not in its shard
           R"({"a":"s1.safetensors","b":"s2.safetensors"})",  // 'a' in two shards
           R"({"a":"../s1.safetensors"})",                    // a path
           R"({"a":"s1.bin"})",                               // not safetensors
           R"({"a":7})", R"({})", R"([])",                    // not names
       }) {
    index(bad);
    const auto checkpoint = Checkpoint::open(folder());
    EXPECT_FALSE(checkpoint) << bad;
  }
  index(R"({"a":"missing.safetensors"})");
  EXPECT_EQ(Checkpoint::open(folder()).error().code, Code::kNotFound);
}

TEST_F(CheckpointFolder, ATensorMissingFromTheIndexIsRefused) {
  write_safetensors(
      folder() / "s1.safetensors",
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
      zeros(8));
  index(R"({"a":"s1.safetensors"})");
  const auto checkpoint = Checkpoint::open(folder());
  ASSERT_FALSE(checkpoint);
  EXPECT_EQ(checkpoint.error().field, "b");
}

}  // namespace
}  // namespace tidegate::worker
