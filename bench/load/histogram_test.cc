#include "bench/load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/core/random.h"

namespace tidegate::bench {
namespace {

TEST(LatencyHistogram, EmptyAnswersZero) {
  const LatencyHistogram empty;
  EXPECT_EQ(empty.count(), 0u);
  EXPECT_EQ(empty.percentile(99), Duration::zero());
  EXPECT_EQ(empty.max(), Duration::zero());
  EXPECT_EQ(empty.mean(), Duration::zero());
}

TEST(LatencyHistogram, BucketsAreInOrderWithoutHolesAndEndWhereTheNextBegins) {
  for (std::size_t bucket = 0; bucket < 4000; ++bucket) {
    const std::int64_t end = LatencyHistogram::bucket_end(bucket);
    ASSERT_EQ(LatencyHistogram::bucket_of(end), bucket);
    ASSERT_EQ(LatencyHistogram::bucket_of(end + 1), bucket + 1);
  }
}

TEST(LatencyHistogram, ABucketIsNeverWiderThanItsShareOfTheValue) {
  for (std::int64_t value = 1; value < std::int64_t{1} << 55; value += value / 3 + 1) {
    const std::int64_t end = LatencyHistogram::bucket_end(LatencyHistogram::bucket_of(value));
    ASSERT_GE(end, value);
    ASSERT_LE(end - value, value / 128) << value;
  }
}

TEST(LatencyHistogram, PercentilesAreThoseOfTheSortedValuesWithinTheErrorBound) {
  Rng rng(7);
  LatencyHistogram histogram;
  std::vector<std::int64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    const auto value = static_cast<std::int64_t>(rng.below(std::uint64_t{1} << (10 + rng.below(24))));
    values.push_back(value);
    histogram.record(Duration(value));
  }
  std::sort(values.begin(), values.end());
  for (const double percent : {1.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank = static_cast<std::size_t>(percent / 100.0 * 20'000.0 + 0.999999);
    const std::int64_t exact = values[std::min(values.size(), rank) - 1];
    const std::int64_t told = histogram.percentile(percent).count();
    EXPECT_GE(told, exact) << percent;
    EXPECT_LE(told, exact + exact / 128 + 1) << percent;
  }
  EXPECT_EQ(histogram.max().count(), values.back());
}

TEST(LatencyHistogram, MergingIsRecordingEverythingInOne) {
  LatencyHistogram left, right, both;
  for (std::int64_t i = 0; i < 1000; ++i) {
    const Duration span(i * i * 1000);
    (i % 3 == 0 ? left : right).record(span);
    both.record(span);
  }
  left.merge(right);
  EXPECT_EQ(left.count(), both.count());
  EXPECT_EQ(left.max(), both.max());
  for (const double percent : {10.0, 50.0, 99.0}) EXPECT_EQ(left.percentile(percent), both.percentile(percent));
}

TEST(LatencyHistogram, ANegativeSpanCountsAsZero) {
  LatencyHistogram histogram;
  histogram.record(Duration(-5));
  EXPECT_EQ(histogram.count(), 1u);
  EXPECT_EQ(histogram.percentile(50), Duration::zero());
}

}  // namespace
}  // namespace tidegate::bench
