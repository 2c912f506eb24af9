// Where matrices that are packed in memory lie, and that they are still what was packed.
#include "worker/backend/cpu/pack_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tidegate::worker::pack_store_test {
namespace {

std::function<float(std::int64_t, std::int64_t)> values_from(int first) {
  return [first](std::int64_t output, std::int64_t input) { return static_cast<float>(first + output * 1000 + input); };
}

PackedMatrix matrix_of(std::int64_t outputs, std::int64_t inputs, int first) {
  return PackedMatrix::from_values(outputs, inputs, values_from(first));
}

/// One Q8_0 block an output: it has scales of its own.
PackedMatrix quantised(int outputs) {
  std::vector<std::byte> bytes;
  for (int output = 0; output < outputs; ++output) {
    bytes.push_back(static_cast<std::byte>(output));  // a small number of 16 bits
    bytes.push_back(static_cast<std::byte>(0x3c));
    for (int input = 0; input < 32; ++input) bytes.push_back(static_cast<std::byte>(input * (output + 1)));
  }
  const TensorView view{Dtype::kQ8_0, {outputs, 32}, bytes};
  return PackedMatrix::from_tensor(view, nullptr, {});
}

std::uintptr_t address(const PackedMatrix& matrix) {
  return reinterpret_cast<std::uintptr_t>(matrix.bytes().data());
}

TEST(PackInMemory, SmallOnesLieTogetherAtLinesOfTheCache) {
  PackInMemory store;
  std::vector<PackedMatrix> matrices;
  for (int i = 0; i < 20; ++i) {
    matrices.push_back(store.matrix("m", [&] { return i % 2 == 0 ? matrix_of(33, 5 + i, i) : quantised(33 + i); }));
  }
  const auto memory = store.take_memory();
  ASSERT_EQ(memory.size(), 1U);
  const auto begin = reinterpret_cast<std::uintptr_t>(memory[0].data());
  EXPECT_EQ(begin % kHugePageBytes, 0U);
  std::uintptr_t end = begin;
  for (int i = 0; i < 20; ++i) {
    const PackedMatrix& kept = matrices[static_cast<std::size_t>(i)];
    const PackedMatrix packed = i % 2 == 0 ? matrix_of(33, 5 + i, i) : quantised(33 + i);
    EXPECT_EQ(address(kept) % 64, 0U);
    EXPECT_GE(address(kept), end) << "it lies over the one before";
    EXPECT_LT(address(kept) - end, 64U) << "there is a gap before it";
    end = kept.scales().empty() ? address(kept) + kept.bytes().size()
                                : reinterpret_cast<std::uintptr_t>(kept.scales().data() + kept.scales().size());
    EXPECT_EQ(kept.outputs(), packed.outputs());
    EXPECT_EQ(kept.inputs(), packed.inputs());
    EXPECT_EQ(kept.format(), packed.format());
    EXPECT_TRUE(std::ranges::equal(kept.bytes(), packed.bytes()));
    EXPECT_TRUE(std::ranges::equal(kept.scales(), packed.scales()));
  }
  EXPECT_LE(end, begin + memory[0].size());
}

TEST(PackInMemory, MoreThanFitsTogetherGoesOnElsewhere) {
  PackInMemory store;
  std::vector<PackedMatrix> matrices;
  for (int i = 0; i < 40; ++i) matrices.push_back(store.matrix("m", [&] { return matrix_of(512, 1024, i); }));
  const auto memory = store.take_memory();
  EXPECT_GE(memory.size(), 2U);
  for (int i = 0; i < 40; ++i) {
    const PackedMatrix& kept = matrices[static_cast<std::size_t>(i)];
    float first = -1;
    std::memcpy(&first, kept.bytes().data(), sizeof first);
    EXPECT_EQ(first, static_cast<float>(i));
    const bool is_within = std::ranges::any_of(memory, [&](const auto& chunk) {
      return kept.bytes().data() >= chunk.data() && kept.bytes().data() + kept.bytes().size() <= chunk.data() + chunk.size();
    });
    EXPECT_TRUE(is_within);
  }
}

TEST(PackInMemory, ALargeOneHasMemoryOfItsOwnAtAHugePage) {
  PackInMemory store;
  const PackedMatrix large = store.matrix("m", [] { return matrix_of(1024, 1024, 7); });
  EXPECT_TRUE(store.take_memory().empty());
  EXPECT_EQ(address(large) % kHugePageBytes, 0U);
}

TEST(AlignedBuffer, GrowsFromSmallToLargeAndBack) {
  AlignedBuffer<float> buffer(3);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
  buffer.grow(AlignedBuffer<float>::kLargeBytes / sizeof(float));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % kHugePageBytes, 0U);
  buffer[buffer.size() - 1] = 1.0F;
  buffer = AlignedBuffer<float>(5);
  EXPECT_EQ(buffer.size(), 5U);
  buffer[4] = 2.0F;
}

}  // namespace
}  // namespace tidegate::worker::pack_store_test
