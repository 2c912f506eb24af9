#include "worker/format/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <limits>

#include "tests/support/temp_dir.h"
#include "tests/unit/worker/format/gguf_writer.h"

namespace tidegate::worker::gguf_test {
namespace {

using test::TempDir;
using testing::ElementsAre;

Result<GgufFile> open_bytes(const TempDir& dir, const std::string& bytes) {
  const auto path = dir.path() / "x.gguf";
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  return GgufFile::open(path);
}

/// Some of everything.
GgufWriter small() {
  GgufWriter writer;
  writer.text("general.architecture", "llama");
  writer.whole("llama.block_count", 3);
  writer.number("llama.rope.freq_base", 5e5f);
  writer.flag("tokenizer.ggml.add_bos_token", true);
  writer.texts("tokenizer.ggml.tokens", {"a", "", "bc"});
  writer.wholes("tokenizer.ggml.token_type", {1, -2, 3});
  writer.tensor("a.weight", {2, 3}, 0, std::string(24, '\1'));
  writer.tensor("b.weight", {32}, 8, std::string(34, '\2'));
  return writer;
}

TEST(Gguf, ValuesAreReadByTheirTypes) {
  const TempDir dir;
  const auto file = open_bytes(dir, small().bytes());
  ASSERT_TRUE(file) << file.error().to_string();
  EXPECT_EQ(file->find_text("general.architecture").value(), "llama");
  EXPECT_EQ(file->find_integer("llama.block_count").value(), 3);
  EXPECT_EQ(file->find_number("llama.rope.freq_base").value(), 5e5);
  EXPECT_EQ(file->find_number("llama.block_count").value(), 3.0) << "a whole number is a number";
  EXPECT_EQ(file->find_flag("tokenizer.ggml.add_bos_token").value(), true);
  EXPECT_THAT(*file->find_texts("tokenizer.ggml.tokens").value(), ElementsAre("a", "", "bc"));
  EXPECT_THAT(*file->find_integers("tokenizer.ggml.token_type").value(), ElementsAre(1, -2, 3));
}

TEST(Gguf, AnAbsentValueIsNoneAndOneOfAnotherTypeIsAnError) {
  const TempDir dir;
  const auto file = open_bytes(dir, small().bytes());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->find_integer("nothing").value(), std::nullopt);
  EXPECT_EQ(file->find_texts("nothing").value(), nullptr);
  const auto wrong = file->find_integer("general.architecture");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().reason, "bad_gguf");
  EXPECT_EQ(wrong.error().field, "general.architecture");
}

// A setting is quoted in messages and put into config.json; a token of a vocabulary is bytes.
TEST(Gguf, ATextThatIsAskedForIsUtf8) {
  GgufWriter writer = small();
  writer.text("odd", "a\xff");
  const TempDir dir;
  const auto file = open_bytes(dir, writer.bytes());
  ASSERT_TRUE(file) << file.error().to_string();
  const auto text = file->find_text("odd");
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().field, "odd");
}

TEST(Gguf, ShapesAreOutermostFirst) {
  const TempDir dir;
  const auto file = open_bytes(dir, small().bytes());
  ASSERT_TRUE(file);
  const TensorView& a = file->tensors().at("a.weight");
  EXPECT_THAT(a.shape, ElementsAre(3, 2));
  EXPECT_EQ(a.dtype, Dtype::kF32);
  EXPECT_EQ(a.bytes.front(), std::byte{1});
  const TensorView& b = file->tensors().at("b.weight");
  EXPECT_EQ(b.dtype, Dtype::kQ8_0);
  EXPECT_EQ(b.elements(), 32);
  EXPECT_EQ(b.bytes.front(), std::byte{2});
}

TEST(Gguf, ViewsSurviveAMove) {
  const TempDir dir;
  auto file = open_bytes(dir, small().bytes());
  ASSERT_TRUE(file);
  const GgufFile moved = *std::move(file);
  EXPECT_EQ(moved.find_text("general.architecture").value(), "llama");
  EXPECT_EQ(moved.tensors().at("a.weight").bytes.front(), std::byte{1});
}

struct Malformed {
  const char* name;
  const char* words;
  std::function<void(GgufWriter&)> change;
};

std::ostream& operator<<(std::ostream& out, const Malformed& malformed) { return out << malformed.name; }

constexpr auto kHuge = std::numeric_limits<std::uint64_t>::max();

const Malformed kMalformed[] = {
    {"Magic", "does not begin with GGUF", [](GgufWriter& w) { w.magic = "GGML"; }},
    {"Version", "version 2", [](GgufWriter& w) { w.version = 2; }},
    {"BigEndian", "little-endian", [](GgufWriter& w) { w.version = 0x03000000; }},
    {"TensorCount", "at most 65536", [](GgufWriter& w) { w.tensor_count = kHuge; }},
    {"ValueCount", "at most 65536", [](GgufWriter& w) { w.value_count = kHuge; }},
    {"MoreTensorsThanThereAre", "byte ", [](GgufWriter& w) { w.tensor_count = 60000; }},
    {"UnknownValueType", "unknown type 13", [](GgufWriter& w) { w.entry("k", 13, ""); }},
    {"ListOfLists", "list of lists", [](GgufWriter& w) { w.entry("k", 9, GgufWriter::raw(std::uint32_t{9})); }},
    {"ListTooLong", "at most 4194304",
     [](GgufWriter& w) { w.entry("k", 9, GgufWriter::raw(std::uint32_t{0}) + GgufWriter::raw(kHuge)); }},
    {"ListBeyondTheFile", "bytes are left",
     [](GgufWriter& w) {
       w.entry("k", 9, GgufWriter::raw(std::uint32_t{0}) + GgufWriter::raw(std::uint64_t{1} << 21));
     }},
    {"ListOfMoreThanTheFileCanHold", "bytes are left",
     [](GgufWriter& w) {
       // So many bytes are there, but a text takes eight at least.
       w.entry("k", 9, GgufWriter::raw(std::uint32_t{8}) + GgufWriter::raw(std::uint64_t{100}) + std::string(128, '\1'));
     }},
    {"KeyIsNotUtf8", "not UTF-8", [](GgufWriter& w) { w.whole("k\xff", 3); }},
    {"NameIsNotUtf8", "not UTF-8", [](GgufWriter& w) { w.tensor_at("c\xff", {1}, 0, 96); }},
    {"TextTooLong", "at most 16777216", [](GgufWriter& w) { w.entry("k", 8, GgufWriter::raw(kHuge)); }},
    {"TextBeyondTheFile", "are left",
     [](GgufWriter& w) { w.entry("k", 8, GgufWriter::raw(std::uint64_t{1} << 20)); }},
    {"NoBool", "a bool is 0 or 1", [](GgufWriter& w) { w.entry("k", 7, "\2"); }},
    {"NumberAboveInt64", "above 2^63", [](GgufWriter& w) { w.entry("k", 10, GgufWriter::raw(kHuge)); }},
    {"KeyTwice", "appears twice", [](GgufWriter& w) { w.whole("llama.block_count", 3); }},
    {"EmptyKey", "is empty", [](GgufWriter& w) { w.whole("", 3); }},
    {"Alignment", "general.alignment is 3", [](GgufWriter& w) { w.whole("general.alignment", 3); }},
    {"AlignmentZero", "general.alignment is 0", [](GgufWriter& w) { w.whole("general.alignment", 0); }},
    {"TensorTwice", "appears twice", [](GgufWriter& w) { w.tensor("a.weight", {2}, 0, std::string(8, '\0')); }},
    {"LongName", "at most 64", [](GgufWriter& w) { w.tensor_at(std::string(65, 'n'), {2}, 0, 0); }},
    {"NoDimensions", "0 dimensions", [](GgufWriter& w) { w.tensor_at("c", {}, 0, 0); }},
    {"FiveDimensions", "5 dimensions", [](GgufWriter& w) { w.tensor_at("c", {1, 1, 1, 1, 1}, 0, 0); }},
    {"DimensionZero", "dimension of 0", [](GgufWriter& w) { w.tensor_at("c", {2, 0}, 0, 0); }},
    {"ShapeOverflows", "overflows",
     [](GgufWriter& w) { w.tensor_at("c", {std::uint64_t{1} << 40, std::uint64_t{1} << 40}, 0, 0); }},
    {"UnsupportedType", "of type 10;", [](GgufWriter& w) { w.tensor_at("c", {256}, 10, 0); }},
    {"HalfABlock", "whole Q8_0 blocks of 32", [](GgufWriter& w) { w.tensor_at("c", {33}, 8, 0); }},
    {"NotAligned", "is not aligned to 32", [](GgufWriter& w) { w.tensor_at("c", {1}, 0, 4); }},
    {"Overlap", "overlaps", [](GgufWriter& w) { w.tensor_at("c", {64}, 0, 0); }},
    {"BeyondTheData", "ends beyond", [](GgufWriter& w) { w.tensor_at("c", {64}, 0, 96); }},
    {"FarBeyondTheData", "ends beyond", [](GgufWriter& w) { w.tensor_at("c", {64}, 0, kHuge / 32 * 32); }},
};

class GgufMalformed : public testing::TestWithParam<Malformed> {};

TEST_P(GgufMalformed, IsRefusedWithWhatAndWhere) {
  GgufWriter writer = small();
  GetParam().change(writer);
  const TempDir dir;
  const auto file = open_bytes(dir, writer.bytes());
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kInvalidArgument);
  EXPECT_EQ(file.error().reason, "bad_gguf");
  EXPECT_NE(file.error().message.find(GetParam().words), std::string::npos) << file.error().message;
  EXPECT_NE(file.error().message.find("x.gguf"), std::string::npos) << file.error().message;
  EXPECT_NE(file.error().message.find("byte "), std::string::npos) << file.error().message;
}

INSTANTIATE_TEST_SUITE_P(, GgufMalformed, testing::ValuesIn(kMalformed),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

/// Any damage to a valid file is refused or harmless, never a crash: every prefix and every changed byte.
TEST(Gguf, EveryTruncationAndEveryChangedByteIsHandled) {
  const TempDir dir;
  const std::string whole = small().bytes();
  // The last tensor ends 30 bytes before the padding does.
  for (std::size_t size = 0; size + 30 < whole.size(); ++size) EXPECT_FALSE(open_bytes(dir, whole.substr(0, size))) << size;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int flip : {0x15, 0x80, 0xff}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      const auto ignored = open_bytes(dir, changed);
      (void)ignored;
    }
  }
  EXPECT_TRUE(open_bytes(dir, whole));
}

TEST(GgufFiles, AFolderHoldsOneModelWithAllItsParts) {
  const TempDir dir;
  const auto write = [&](const char* name) { small().write(dir.path() / name); };
  EXPECT_TRUE(gguf_files_of(dir.path()).value().empty());
  EXPECT_TRUE(gguf_files_of("/nonexistent").value().empty()) << "no GGUF path at all";
  write("m-00002-of-00002.gguf");
  const auto incomplete = gguf_files_of(dir.path());
  ASSERT_FALSE(incomplete);
  EXPECT_EQ(incomplete.error().code, Code::kNotFound);
  write("m-00001-of-00002.gguf");
  const auto both = gguf_files_of(dir.path());
  ASSERT_TRUE(both) << both.error().to_string();
  ASSERT_EQ(both->size(), 2u);
  EXPECT_EQ((*both)[0].filename(), "m-00001-of-00002.gguf");
  EXPECT_EQ(gguf_files_of(dir.path() / "m-00002-of-00002.gguf").value(), *both) << "any part stands for the set";
  write("other.gguf");
  const auto ambiguous = gguf_files_of(dir.path());
  ASSERT_FALSE(ambiguous);
  EXPECT_EQ(ambiguous.error().reason, "bad_gguf");
  EXPECT_EQ(gguf_files_of(dir.path() / "other.gguf")->size(), 1u);
  EXPECT_EQ(gguf_files_of(dir.path() / "missing.gguf").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace tidegate::worker::gguf_test
