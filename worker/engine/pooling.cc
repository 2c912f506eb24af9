#include "worker/engine/pooling.h"

#include <algorithm>
#include <cmath>

namespace tidegate::worker {

void Pooler::add(std::span<const float> states) {
  const std::size_t width = sum_.size();
  for (; states.size() >= width && width > 0; states = states.subspan(width)) {
    if (pooling_ == Pooling::kLast) std::ranges::fill(sum_, 0.0);
    for (std::size_t i = 0; i < width; ++i) sum_[i] += static_cast<double>(states[i]);
  }
}

void Pooler::reset() { std::ranges::fill(sum_, 0.0); }

// The mean and the sum have one direction, and only that is left of them.
std::vector<float> Pooler::vector() const {
  double square = 0;
  for (const double value : sum_) square += value * value;
  const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
  std::vector<float> out(sum_.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(sum_[i] * scale);
  return out;
}

}  // namespace tidegate::worker
