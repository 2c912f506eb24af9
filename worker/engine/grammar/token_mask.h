#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tidegate::worker::grammar {

/// A set of token ids below a limit.
class TokenMask {
 public:
  explicit TokenMask(std::int32_t limit = 0) : words_((static_cast<std::size_t>(limit) + 63) / 64) {}

  void clear() { std::fill(words_.begin(), words_.end(), 0); }
  void set(std::int32_t id) { words_[static_cast<std::size_t>(id) >> 6] |= bit(id); }
  bool test(std::int32_t id) const { return (words_[static_cast<std::size_t>(id) >> 6] & bit(id)) != 0; }
  /// Both of one limit.
  void add(const TokenMask& other) {
    for (std::size_t n = 0; n < words_.size(); ++n) words_[n] |= other.words_[n];
  }
  std::size_t count() const {
    std::size_t total = 0;
    for (const std::uint64_t word : words_) total += static_cast<std::size_t>(std::popcount(word));
    return total;
  }
  bool empty() const {
    return std::all_of(words_.begin(), words_.end(), [](std::uint64_t word) { return word == 0; });
  }
  std::size_t bytes() const { return words_.size() * sizeof(std::uint64_t); }

  /// In rising order.
  template <typename Visit>
  void each(Visit visit) const {
    for (std::size_t n = 0; n < words_.size(); ++n) {
      for (std::uint64_t word = words_[n]; word != 0; word &= word - 1) {
        visit(static_cast<std::int32_t>(n * 64 + static_cast<std::size_t>(std::countr_zero(word))));
      }
    }
  }
  bool operator==(const TokenMask&) const = default;

 private:
  static std::uint64_t bit(std::int32_t id) { return std::uint64_t{1} << (static_cast<std::uint32_t>(id) & 63U); }
  std::vector<std::uint64_t> words_;
};

}  // namespace tidegate::worker::grammar
