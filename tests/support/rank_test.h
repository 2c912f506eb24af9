#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace tidegate::test {

/// The p-value, both sides, of Mann and Whitney's test: how likely two samples of one distribution are at least as unlike as
/// these. It looks at order alone, so one slow measurement weighs no more than another. Normal approximation with corrections
/// for ties and continuity, as R's wilcox.test(exact = FALSE): from about 8 values in each sample on. 1 for an empty sample and
/// where all values are equal.
inline double mann_whitney_p(std::span<const double> first, std::span<const double> second) {
  if (first.empty() || second.empty()) return 1;
  std::vector<std::pair<double, bool>> all;
  for (const double value : first) all.emplace_back(value, true);
  for (const double value : second) all.emplace_back(value, false);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });

  const auto n1 = static_cast<double>(first.size());
  const auto n2 = static_cast<double>(second.size());
  const double n = n1 + n2;
  double rank_sum = 0;  // of `first`
  double ties = 0;      // sum of t^3 - t
  for (std::size_t begin = 0; begin < all.size();) {
    std::size_t end = begin;
    while (end < all.size() && all[end].first == all[begin].first) ++end;
    const auto tied = static_cast<double>(end - begin);
    const double rank = (static_cast<double>(begin) + 1 + static_cast<double>(end)) / 2;  // the mean of begin + 1 to end
    for (std::size_t i = begin; i < end; ++i) rank_sum += all[i].second ? rank : 0;
    ties += tied * tied * tied - tied;
    begin = end;
  }
  const double u = rank_sum - n1 * (n1 + 1) / 2;
  const double variance = n1 * n2 / 12 * (n + 1 - ties / (n * (n - 1)));
  if (!(variance > 0)) return 1;
  const double distance = std::max(0.0, std::abs(u - n1 * n2 / 2) - 0.5);
  return std::erfc(distance / std::sqrt(2 * variance));
}

}  // namespace tidegate::test
