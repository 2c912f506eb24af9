#include "billing/core/batch_sequence.h"

#include <gtest/gtest.h>

#include <numeric>

#include "billing/core/usage_event.h"

namespace tidegate::billing {
namespace {

std::string split(const std::vector<std::uint64_t>& sequences, std::uint64_t applied) {
  const auto out = split_batch(sequences, applied);
  return out ? std::to_string(out->applied) : out.error().reason;
}

TEST(BatchSequence, TheNextBatchIsAllNew) { EXPECT_EQ(split({4, 5}, 3), "0"); }
TEST(BatchSequence, ARepeatedBatchIsAllKnown) { EXPECT_EQ(split({1, 2, 3}, 3), "3"); }
TEST(BatchSequence, AnOldBatchIsKnownToo) { EXPECT_EQ(split({1, 2}, 9), "2"); }
TEST(BatchSequence, AnOverlapIsSplit) { EXPECT_EQ(split({3, 4, 5}, 3), "1"); }
TEST(BatchSequence, AGapIsRefused) { EXPECT_EQ(split({5}, 3), "sequence_gap"); }
TEST(BatchSequence, ABatchIsConsecutive) {
  EXPECT_EQ(split({1, 3}, 0), "bad_batch");
  EXPECT_EQ(split({2, 1}, 0), "bad_batch");
  EXPECT_EQ(split({1, 1}, 0), "bad_batch");
  EXPECT_EQ(split({0, 1}, 0), "bad_batch");
}
TEST(BatchSequence, ABatchHasASize) {
  EXPECT_EQ(split({}, 0), "bad_batch");
  std::vector<std::uint64_t> many(kBatchEventsMax + 1);
  std::iota(many.begin(), many.end(), 1);
  EXPECT_EQ(split(many, 0), "bad_batch");
  many.pop_back();
  EXPECT_EQ(split(many, 0), "0");
}

}  // namespace
}  // namespace tidegate::billing
