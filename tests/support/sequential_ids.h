#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/core/ids.h"
#include "base/core/random.h"

namespace tidegate::test {

/// Version 7 ids that differ only in a counter: 01956a3e-7c00-7000-8000-000000000001, ...02, ... Thread-safe.
class SequentialIds final : public IdSource {
 public:
  explicit SequentialIds(std::uint64_t first = 1) : next_(first) {}

  Uuid next() override { return make(next_++); }

  /// The id that the n-th call returns.
  static Uuid make(std::uint64_t n) {
    Uuid uuid;
    uuid.bytes = {0x01, 0x95, 0x6a, 0x3e, 0x7c, 0x00, 0x70, 0x00, 0x80};
    for (int i = 15; i > 8; --i, n >>= 8) uuid.bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(n);
    return uuid;
  }

 private:
  std::atomic<std::uint64_t> next_;
};

/// The same bytes for the same seed. Thread-safe.
class SeededEntropy final : public EntropySource {
 public:
  explicit SeededEntropy(std::uint64_t seed = 1) : rng_(seed) {}

  void fill(void* data, std::size_t size) override {
    const std::lock_guard lock(mutex_);
    auto* bytes = static_cast<std::uint8_t*>(data);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(rng_.next() >> 56);
  }

 private:
  std::mutex mutex_;
  Rng rng_;
};

}  // namespace tidegate::test
