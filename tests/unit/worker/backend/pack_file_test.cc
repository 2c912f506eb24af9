// The index of a pack file against what a damaged or foreign one may say.
#include "worker/backend/cpu/pack_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "base/core/encoding.h"
#include "tests/support/temp_dir.h"
#include "worker/backend/cpu/aligned_buffer.h"

namespace tidegate::worker::pack_file_test {
namespace {

constexpr std::string_view kKey = "key";
constexpr std::size_t kTailBytes = 64;

/// A file of one matrix of 1 x 4 and one table of 2 x 4.
std::string small_pack() {
  const test::TempDir dir;
  const auto path = dir.path() / "x.pack";
  auto writer = PackWriter::create(path);
  EXPECT_TRUE(writer);
  const auto value = [](std::int64_t, std::int64_t input) { return static_cast<float>(input); };
  writer->matrix("matrix", [&] { return PackedMatrix::from_values(1, 4, value); });
  const std::vector<float> rows(8, 1.0F);
  const TensorView table{Dtype::kF32, {2, 4}, std::as_bytes(std::span(rows))};
  writer->table("table", table);
  EXPECT_TRUE(writer->finish(kKey));
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// Changes a number of the index behind a part's name, and the checksums so that it is believed.
template <typename T>
void change(std::string& file, std::string_view name, std::size_t behind, T value) {
  const std::size_t at = file.rfind(name) + name.size() + behind;
  std::memcpy(file.data() + at, &value, sizeof value);
  std::uint64_t index_offset = 0;
  std::memcpy(&index_offset, file.data() + file.size() - kTailBytes + 16, sizeof index_offset);
  const std::uint32_t crc =
      crc32c(std::string_view(file).substr(index_offset, file.size() - kTailBytes - index_offset));
  std::memcpy(file.data() + file.size() - kTailBytes + 12, &crc, sizeof crc);
}

// Places within a part's entry: three kinds of a byte, then outputs, inputs, offset, bytes, crc, scales_offset.
constexpr std::size_t kOutputs = 3;
constexpr std::size_t kInputs = 11;
constexpr std::size_t kOffset = 19;
constexpr std::size_t kScalesOffset = 39;

struct InMemory {
  explicit InMemory(const std::string& file) : memory(file.size()), size(file.size()) {
    std::memcpy(memory.data(), file.data(), file.size());
  }
  std::span<const std::byte> bytes() const { return {memory.data(), size}; }
  AlignedBuffer<std::byte> memory;
  std::size_t size;
};

TEST(PackFile, BytesInMemoryAreReadAsAFileIs) {
  const InMemory file(small_pack());
  const auto pack = PackFile::over(file.bytes(), kKey, PackCheck::kWhole);
  ASSERT_TRUE(pack) << pack.error().to_string();
  EXPECT_EQ(pack->parts().size(), 2u);
  const PackPart* matrix = pack->find("matrix");
  ASSERT_NE(matrix, nullptr);
  EXPECT_GE(pack->bytes_of(*matrix).data(), file.bytes().data());
  EXPECT_TRUE(pack->scales_of(*matrix).empty());
  EXPECT_FALSE(PackFile::over(file.bytes(), "another key", PackCheck::kIndex));
}

// Q8_0 keeps its bytes and has a scale for each 32 inputs, four times as many as the blocks of FP8.
TEST(PackFile, AQ8MatrixIsMappedAsItWasPacked) {
  constexpr std::int64_t kOut = 33;  // a panel and one column of the next
  constexpr std::int64_t kIn = 64;
  std::vector<std::byte> blocks(kOut * kIn / 32 * 34);
  for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<std::byte>(i % 34 == 1 ? 0x20 + i % 16 : i % 251);
  const TensorView tensor{Dtype::kQ8_0, {kOut, kIn}, blocks};
  const PackedMatrix packed = PackedMatrix::from_tensor(tensor, nullptr, {});
  const test::TempDir dir;
  const auto path = dir.path() / "x.pack";
  auto writer = PackWriter::create(path);
  ASSERT_TRUE(writer) << writer.error().to_string();
  writer->matrix("q8", [&] { return PackedMatrix::from_tensor(tensor, nullptr, {}); });
  ASSERT_TRUE(writer->finish(kKey));

  const auto pack = PackFile::open(path, kKey, PackCheck::kWhole);
  ASSERT_TRUE(pack) << pack.error().to_string();
  PackReader reader(*pack);
  const PackedMatrix mapped = reader.matrix("q8", [] { return PackedMatrix(); });
  EXPECT_EQ(reader.missing(), 0);
  EXPECT_EQ(mapped.format(), WeightFormat::kQ8_0);
  EXPECT_EQ(mapped.scales().size(), 2u * 32u * 2u);
  EXPECT_TRUE(std::ranges::equal(mapped.bytes(), packed.bytes()));
  EXPECT_TRUE(std::ranges::equal(mapped.scales(), packed.scales()));
}

// Neighbouring inputs of a column beside each other, in the places that PanelView names; inputs that tiles read beyond the last are zero.
TEST(PackedMatrix, PairsAndQuadsHoldEveryWeightWhereTheKernelsLookForIt) {
  constexpr std::int64_t kOut = 37;
  constexpr std::int64_t kIn = 33;
  std::vector<std::uint16_t> values;
  for (std::int64_t i = 0; i < kOut * kIn; ++i) values.push_back(static_cast<std::uint16_t>(i + 1));
  const TensorView tensor{Dtype::kBf16, {kOut, kIn}, std::as_bytes(std::span(values))};
  const PackedMatrix pairs = PackedMatrix::from_tensor(tensor, nullptr, {}, WeightLayout::kPairs);
  ASSERT_EQ(pairs.format(), WeightFormat::kBf16Pairs);
  ASSERT_EQ(std::ssize(pairs.bytes()), 2 * 32 * 64 * 2) << "two panels of 64 inputs";
  ASSERT_EQ(std::ssize(pairs.bytes()), PackedMatrix::packed_bytes(kOut, kIn, WeightFormat::kBf16Pairs));
  for (std::int64_t o = 0; o < 64; ++o) {
    const auto* panel = static_cast<const std::uint16_t*>(pairs.panel(o / 32).weights);
    for (std::int64_t i = 0; i < 64; ++i) {
      const std::uint16_t expected = o < kOut && i < kIn ? values[static_cast<std::size_t>(o * kIn + i)] : std::uint16_t{0};
      ASSERT_EQ(panel[(i / 2 * 32 + o % 32) * 2 + i % 2], expected) << o << ", " << i;
    }
  }

  std::vector<std::byte> block(34, std::byte{0});
  for (std::size_t i = 0; i < 32; ++i) block[2 + i] = static_cast<std::byte>(i + 1);
  const TensorView q8{Dtype::kQ8_0, {1, 32}, block};
  const PackedMatrix quads = PackedMatrix::from_tensor(q8, nullptr, {}, WeightLayout::kQuads);
  ASSERT_EQ(quads.format(), WeightFormat::kQ8Quads);
  const auto* weights = static_cast<const std::int8_t*>(quads.panel(0).weights);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(weights[i / 4 * 128 + i % 4], i + 1) << i;
  EXPECT_EQ(PackedMatrix::from_tensor(q8, nullptr, {}, WeightLayout::kPairs).format(), WeightFormat::kQ8_0) << "pairs are of bf16";
}

// No scales were checked for lying within the file because there are none: but their place was still computed with.
TEST(PackFile, ScalesThatAreNotThereAreNowhere) {
  std::string damaged = small_pack();
  change(damaged, "matrix", kScalesOffset, std::uint64_t{1} << 60);
  const InMemory file(damaged);
  for (const PackCheck check : {PackCheck::kIndex, PackCheck::kWhole}) {
    const auto pack = PackFile::over(file.bytes(), kKey, check);
    ASSERT_FALSE(pack);
    EXPECT_EQ(pack.error().reason, "bad_pack");
    EXPECT_NE(pack.error().message.find("'matrix'"), std::string::npos) << pack.error().message;
  }
}

TEST(PackFile, APartOutsideOfTheFileIsRefusedByItsName) {
  const auto refuse = [](std::size_t behind, auto value) {
    std::string damaged = small_pack();
    change(damaged, "table", behind, value);
    const InMemory file(damaged);
    const auto pack = PackFile::over(file.bytes(), kKey, PackCheck::kIndex);
    ASSERT_FALSE(pack);
    EXPECT_NE(pack.error().message.find("'table'"), std::string::npos) << pack.error().message;
  };
  refuse(kOffset, std::uint64_t{1} << 40);
  refuse(kOffset, ~std::uint64_t{63});
  refuse(kOffset, std::uint64_t{0});
  refuse(kOutputs, std::int64_t{1} << 62);
  refuse(kInputs, std::int64_t{-4});
  refuse(std::size_t{0}, std::uint8_t{2});
}

}  // namespace
}  // namespace tidegate::worker::pack_file_test
