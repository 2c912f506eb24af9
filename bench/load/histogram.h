#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/core/clock.h"

namespace tidegate::bench {

/// Durations counted in log-linear buckets, as HdrHistogram does: nanoseconds below 256 are exact, above that each
/// power of two has 128 buckets, so a percentile is at most 1/128 (0.8 %) above the true value and never below it.
/// Memory follows the largest value (58 KiB at most), not the number of values. One thread.
class LatencyHistogram {
 public:
  /// A negative span counts as zero.
  void record(Duration span);
  void merge(const LatencyHistogram& other);

  std::uint64_t count() const { return count_; }
  /// Zero when empty.
  Duration max() const { return Duration(max_); }
  Duration mean() const;
  /// The least value that `percent` of all values do not exceed, rounded up to its bucket's end, and never above max().
  /// Zero when empty.
  Duration percentile(double percent) const;

  /// Of the bucket that holds `value`: exposed so that the error bound can be tested.
  static std::size_t bucket_of(std::int64_t value);
  static std::int64_t bucket_end(std::size_t bucket);

 private:
  std::vector<std::uint64_t> counts_;  // as long as the largest value needs
  std::uint64_t count_ = 0;
  std::int64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace tidegate::bench
