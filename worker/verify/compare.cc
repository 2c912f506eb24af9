#include "worker/verify/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace tidegate::worker {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// log-softmax of one row.
std::vector<double> log_probabilities(std::span<const float> logits) {
  const double maximum = *std::ranges::max_element(logits);
  double total = 0;
  for (const float x : logits) total += std::exp(x - maximum);
  const double shift = maximum + std::log(total);
  std::vector<double> out;
  out.reserve(logits.size());
  for (const float x : logits) out.push_back(x - shift);
  return out;
}

bool comparable(std::span<const float> a, std::span<const float> b) {
  const auto finite = [](float x) { return std::isfinite(x); };
  return a.size() == b.size() && !a.empty() && std::ranges::all_of(a, finite) &&
         std::ranges::all_of(b, finite);
}

}  // namespace

double rms(std::span<const float> values) {
  double sum = 0;
  for (const float x : values) sum += static_cast<double>(x) * x;
  return values.empty() ? 0 : std::sqrt(sum / static_cast<double>(values.size()));
}

double worst_difference(std::span<const float> actual, std::span<const float> golden) {
  if (!comparable(actual, golden)) return kInfinity;
  double worst = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(actual[i]) - golden[i]));
  }
  return worst;
}

double worst_kl(std::span<const float> actual, std::span<const float> golden, std::int64_t columns) {
  if (!comparable(actual, golden)) return kInfinity;
  double worst = 0;
  const auto width = static_cast<std::size_t>(columns);
  for (std::size_t at = 0; at + width <= golden.size(); at += width) {
    const auto p = log_probabilities(golden.subspan(at, width));
    const auto q = log_probabilities(actual.subspan(at, width));
    double kl = 0;
    for (std::size_t i = 0; i < width; ++i) kl += std::exp(p[i]) * (p[i] - q[i]);
    worst = std::max(worst, kl);
  }
  return worst;
}

std::int64_t differing_sets(std::span<const float> actual, std::span<const float> golden, std::int64_t k) {
  const auto width = static_cast<std::size_t>(k);
  if (actual.size() != golden.size()) return static_cast<std::int64_t>(golden.size() / width);
  std::int64_t differing = 0;
  for (std::size_t at = 0; at + width <= golden.size(); at += width) {
    std::vector<float> a(actual.begin() + static_cast<std::ptrdiff_t>(at),
                         actual.begin() + static_cast<std::ptrdiff_t>(at + width));
    std::vector<float> g(golden.begin() + static_cast<std::ptrdiff_t>(at),
                         golden.begin() + static_cast<std::ptrdiff_t>(at + width));
    std::ranges::sort(a);
    std::ranges::sort(g);
    differing += a == g ? 0 : 1;
  }
  return differing;
}

double worst_weight(std::span<const float> actual_experts, std::span<const float> actual_weights,
                    std::span<const float> golden_experts, std::span<const float> golden_weights,
                    std::int64_t k) {
  if (!comparable(actual_weights, golden_weights) || actual_experts.size() != golden_experts.size())
    return kInfinity;
  double worst = 0;
  const auto width = static_cast<std::size_t>(k);
  for (std::size_t row = 0; row + width <= golden_experts.size(); row += width) {
    for (std::size_t i = row; i < row + width; ++i) {
      for (std::size_t j = row; j < row + width; ++j) {
        if (actual_experts[i] != golden_experts[j]) continue;
        worst = std::max(worst, std::abs(static_cast<double>(actual_weights[i]) - golden_weights[j]));
      }
    }
  }
  return worst;
}

}  // namespace tidegate::worker
