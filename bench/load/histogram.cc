#include "bench/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tidegate::bench {

namespace {
constexpr unsigned kSubBits = 7;
constexpr std::size_t kSub = std::size_t{1} << kSubBits;
}  // namespace

std::size_t LatencyHistogram::bucket_of(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0));
  const auto width = static_cast<unsigned>(std::bit_width(bits));
  const unsigned shift = width <= kSubBits + 1 ? 0 : width - (kSubBits + 1);
  return shift * kSub + static_cast<std::size_t>(bits >> shift);
}

std::int64_t LatencyHistogram::bucket_end(std::size_t bucket) {
  if (bucket < 2 * kSub) return static_cast<std::int64_t>(bucket);
  const std::size_t shift = bucket / kSub - 1;
  const std::uint64_t sub = bucket - shift * kSub;
  return static_cast<std::int64_t>(((sub + 1) << shift) - 1);
}

void LatencyHistogram::record(Duration span) {
  const std::int64_t value = std::max<std::int64_t>(span.count(), 0);
  const std::size_t bucket = bucket_of(value);
  if (bucket >= counts_.size()) counts_.resize(bucket + 1);
  ++counts_[bucket];
  ++count_;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value);
}

void LatencyHistogram::merge(const LatencyHistogram& other) {
  if (other.counts_.size() > counts_.size()) counts_.resize(other.counts_.size());
  for (std::size_t i = 0; i < other.counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

Duration LatencyHistogram::mean() const {
  return count_ == 0 ? Duration::zero() : Duration(static_cast<std::int64_t>(sum_ / static_cast<double>(count_)));
}

Duration LatencyHistogram::percentile(double percent) const {
  if (count_ == 0) return Duration::zero();
  const double wanted = std::ceil(std::clamp(percent, 0.0, 100.0) / 100.0 * static_cast<double>(count_));
  const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(wanted));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= rank) return Duration(std::min(bucket_end(i), max_));
  }
  return Duration(max_);
}

}  // namespace tidegate::bench
