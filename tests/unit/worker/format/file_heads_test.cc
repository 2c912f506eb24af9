// Files written here are read by the readers next door.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/core/encoding.h"
#include "base/crypto/sha256.h"
#include "tests/support/temp_dir.h"
#include "worker/format/gguf_head.h"
#include "worker/format/output_file.h"
#include "worker/format/safetensors_head.h"

namespace tidegate::worker::file_heads_test {
namespace {

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

const std::vector<StoredTensor> kTensors{{"b.weight", Dtype::kBf16, {3, 5}}, {"a.weight", Dtype::kF32, {2}}};

TEST(SafetensorsHead, IsReadBackWithEveryTensorInItsPlace) {
  const test::TempDir dir;
  std::string data;
  for (int i = 0; i < 38; ++i) data.push_back(static_cast<char>(i));
  std::ofstream(dir.file("x.safetensors"), std::ios::binary) << safetensors_head(kTensors) << data;
  const auto file = SafetensorsFile::open(dir.file("x.safetensors"));
  ASSERT_TRUE(file) << file.error().to_string();
  ASSERT_EQ(file->tensors().size(), 2u);
  EXPECT_EQ(file->tensors().at("b.weight").shape, (std::vector<std::int64_t>{3, 5}));
  EXPECT_EQ(file->tensors().at("a.weight").bytes[0], std::byte{30}) << "behind the 15 values of the first";
  EXPECT_EQ(safetensors_head(kTensors).size() % 8, 0u);
}

TEST(GgufHead, IsReadBackWithValuesAndTensors) {
  GgufHead head;
  head.put_text("general.architecture", "llama");
  head.put_whole("llama.block_count", 7);
  head.put_number("llama.rope.freq_base", 5e5);
  head.put_flag("tokenizer.ggml.add_bos_token", true);
  const std::vector<std::string> words{"a", "", "b c"};
  const std::vector<std::int32_t> kinds{1, -3};
  head.put_texts("tokenizer.ggml.tokens", words);
  head.put_wholes("tokenizer.ggml.token_type", kinds);
  const test::TempDir dir;
  std::string data(GgufHead::padded(30), 'x');
  data += std::string(8, 'y');
  std::ofstream(dir.file("x.gguf"), std::ios::binary) << head.bytes(kTensors) << data;
  const auto file = GgufFile::open(dir.file("x.gguf"));
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->find_integer("llama.block_count")->value(), 7);
  EXPECT_EQ(file->find_number("llama.rope.freq_base")->value(), 5e5);
  EXPECT_TRUE(file->find_flag("tokenizer.ggml.add_bos_token")->value());
  EXPECT_EQ((**file->find_texts("tokenizer.ggml.tokens"))[2], "b c");
  EXPECT_EQ((**file->find_integers("tokenizer.ggml.token_type"))[1], -3);
  EXPECT_EQ(file->tensors().at("b.weight").shape, (std::vector<std::int64_t>{3, 5})) << "outermost first again";
  EXPECT_EQ(file->tensors().at("a.weight").bytes[0], std::byte{'y'});
}

TEST(GgufHead, ValuesOfAnotherFilePassThrough) {
  GgufHead first;
  first.put_text("general.architecture", "llama");
  first.put_whole("a.whole", 12);
  first.put_number("a.number", 0.5);
  const std::vector<std::int32_t> list{4, 5};
  first.put_wholes("a.list", list);
  const test::TempDir dir;
  std::ofstream(dir.file("a.gguf"), std::ios::binary) << first.bytes({});
  const auto source = GgufFile::open(dir.file("a.gguf"));
  ASSERT_TRUE(source) << source.error().to_string();
  GgufHead second;
  for (const auto& [key, value] : source->values()) EXPECT_TRUE(second.put_value(key, value));
  EXPECT_FALSE(second.put_value("too.large", GgufValue(std::int64_t{1} << 40)));
  std::ofstream(dir.file("b.gguf"), std::ios::binary) << second.bytes({});
  const auto again = GgufFile::open(dir.file("b.gguf"));
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->values(), source->values());
}

TEST(OutputFile, SaysTheDigestOfWhatItWrote) {
  const test::TempDir dir;
  auto file = OutputFile::create(dir.file("x"));
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->write("spring "));
  ASSERT_TRUE(file->write("river"));
  ASSERT_TRUE(file->write_zeros(5000));
  EXPECT_EQ(file->written(), 5012u);
  const auto digest = file->finish();
  ASSERT_TRUE(digest);
  const std::string expected = "spring river" + std::string(5000, '\0');
  EXPECT_EQ(bytes_of(dir.file("x")), expected);
  const Digest hash = sha256(expected);
  EXPECT_EQ(*digest, hex_encode(as_view(hash)));
}

TEST(OutputFile, NeverWritesOverAFile) {
  const test::TempDir dir;
  std::ofstream(dir.file("x")) << "kept";
  const auto file = OutputFile::create(dir.file("x"));
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().reason, "file_exists");
  EXPECT_EQ(bytes_of(dir.file("x")), "kept");
}

}  // namespace
}  // namespace tidegate::worker::file_heads_test
