#pragma once

#include <cstddef>
#include <cstdint>

namespace tidegate {

/// Seeded generator (xoshiro256**), a value type. Not for secrets: those come from base/crypto.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) {
    for (auto& word : state_) {  // splitmix64, as the generator's authors advise
      seed += 0x9e3779b97f4a7c15ULL;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
      word = z ^ (z >> 31);
    }
  }

  std::uint64_t next() {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  /// Uniform in [0, bound). bound > 0. The bias of at most bound / 2^64 is accepted.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }

  /// Uniform in [0, 1) with 53 bits.
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  static std::uint64_t rotate(std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
  std::uint64_t state_[4];
};

/// Where process-level randomness comes from, so that tests can fix it. Thread-safe.
class EntropySource {
 public:
  virtual ~EntropySource() = default;
  /// Fills `size` bytes. Implementations never fail: the system one aborts when the kernel has no entropy.
  virtual void fill(void* data, std::size_t size) = 0;
};

}  // namespace tidegate
