#include "worker/convert/output_tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "tests/support/temp_dir.h"
#include "worker/convert/tensor_writer.h"

namespace tidegate::worker::output_tensor_test {
namespace {

std::vector<float> counted(std::size_t count) {
  std::vector<float> out(count);
  std::iota(out.begin(), out.end(), 0.0f);
  return out;
}

TensorView view_of(const std::vector<float>& values, std::vector<std::int64_t> shape) {
  return {Dtype::kF32, std::move(shape), std::as_bytes(std::span(values))};
}

/// All rows, in pieces of every size: how a reader is asked may not matter.
std::vector<float> read_all(const ReadRows& rows, std::int64_t count, std::int64_t columns) {
  std::vector<float> whole(static_cast<std::size_t>(count * columns));
  rows(0, count, whole.data());
  for (std::int64_t piece = 1; piece < count; ++piece) {
    std::vector<float> again(whole.size());
    for (std::int64_t first = 0; first < count; first += piece) {
      rows(first, std::min(piece, count - first), again.data() + first * columns);
    }
    EXPECT_EQ(again, whole) << "in pieces of " << piece;
  }
  return whole;
}

TEST(OutputTensor, StackedMatricesFollowOneAnother) {
  const auto first = counted(6);
  const std::vector<float> second{10, 11, 12, 13, 14, 15};
  const auto rows = stacked({rows_of(view_of(first, {3, 2}), nullptr), rows_of(view_of(second, {3, 2}), nullptr)}, 3, 2);
  EXPECT_EQ(read_all(rows, 6, 2), (std::vector<float>{0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15}));
}

TEST(OutputTensor, PairsGoToNeighboursAndBack) {
  const auto values = counted(12);  // two heads of six rows
  const auto neighbours = reordered_pairs(rows_of(view_of(values, {12, 1}), nullptr), 6, 1, PairOrder::kToNeighbours);
  const auto moved = read_all(neighbours, 12, 1);
  EXPECT_EQ(moved, (std::vector<float>{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11})) << "(i, i + half) become (2i, 2i + 1)";
  const auto halves = reordered_pairs(rows_of(view_of(moved, {12, 1}), nullptr), 6, 1, PairOrder::kToHalves);
  EXPECT_EQ(read_all(halves, 12, 1), values);
}

TEST(OutputTensor, KvBComesApartByHead) {
  // Two heads, nope 2, value 1, latent 3: rows k k v of each head.
  const auto kv_b = counted(18);
  const KvBShape shape{2, 1, 3};
  const auto keys = key_half(rows_of(view_of(kv_b, {6, 3}), nullptr), shape);
  EXPECT_EQ(read_all(keys, 6, 2), (std::vector<float>{0, 3, 1, 4, 2, 5, 9, 12, 10, 13, 11, 14})) << "transposed";
  const auto values = value_half(rows_of(view_of(kv_b, {6, 3}), nullptr), shape);
  EXPECT_EQ(read_all(values, 2, 3), (std::vector<float>{6, 7, 8, 15, 16, 17}));
}

TEST(OutputTensor, Fp8RowsComeWithTheScaleOfTheirTile) {
  constexpr std::int64_t kRows = 130;
  constexpr std::int64_t kColumns = 129;
  const std::vector<std::byte> codes(static_cast<std::size_t>(kRows * kColumns), std::byte{0x38});  // 1.0
  const std::vector<float> scales{2, 3, 5, 7};
  const TensorView weight{Dtype::kF8E4m3, {kRows, kColumns}, codes};
  const TensorView scale = view_of(scales, {2, 2});
  std::vector<float> row(static_cast<std::size_t>(2 * kColumns));
  rows_of(weight, &scale)(127, 2, row.data());
  EXPECT_EQ(row[127], 2);
  EXPECT_EQ(row[128], 3);
  EXPECT_EQ(row[129], 5) << "the next row is of the next tile";
  EXPECT_EQ(row[257], 7);
}

TEST(TensorWriter, WhatIsTooLargeNamesTheTensor) {
  const test::TempDir dir;
  const auto huge = std::vector<float>(32, 3e38f);
  EncodingError error;
  TensorWriter writer(error);
  auto file = OutputFile::create(dir.file("x"));
  ASSERT_TRUE(file);
  const OutputTensor tensor{.stored = {"blk.0.x", Dtype::kQ8_0, {1, 32}},
                            .source = TensorSource::kRows,
                            .rows = rows_of(view_of(huge, {1, 32}), nullptr),
                            .copy = {}};
  const Status status = writer.write(tensor, *file);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().field, "blk.0.x");
}

TEST(TensorWriter, ABandAtATimeGivesEveryTileItsOwnScale) {
  const test::TempDir dir;
  std::vector<float> values(300 * 2, 1.0f);
  for (std::size_t i = 256 * 2; i < values.size(); ++i) values[i] = 100;
  const StoredTensor weight{"w", Dtype::kF8E4m3, {300, 2}};
  std::vector<OutputTensor> tensors;
  tensors.push_back({.stored = weight, .source = TensorSource::kRows, .rows = rows_of(view_of(values, {300, 2}), nullptr), .copy = {}});
  tensors.push_back({.stored = {"w_scale_inv", Dtype::kF32, {3, 1}}, .source = TensorSource::kScales, .rows = {}, .copy = {}});
  EncodingError error;
  const auto files = write_safetensors(dir.path(), tensors, std::int64_t{1} << 30, error);
  ASSERT_TRUE(files) << files.error().to_string();
  const auto read = SafetensorsFile::open(dir.file("model.safetensors"));
  ASSERT_TRUE(read) << read.error().to_string();
  const auto scales = to_floats(read->tensors().at("w_scale_inv"));
  EXPECT_EQ(scales, (std::vector<float>{1 / 448.0f, 1 / 448.0f, 100 / 448.0f}));
  EXPECT_LT(error.squared_error, 1e-6 * error.squared_value) << "the largest value of a tile is a code";
}

}  // namespace
}  // namespace tidegate::worker::output_tensor_test
