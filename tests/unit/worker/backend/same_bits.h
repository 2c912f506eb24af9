#pragma once

#include <cstring>
#include <span>

namespace tidegate::worker {

/// What the claims about determinism compare: not values, bits. A NaN equals itself, and zero is not minus zero.
inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace tidegate::worker
