#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/core/encoding.h"

namespace tidegate::fuzz {

[[noreturn]] inline void claim_failed(const char* claim, const char* expression, const char* file, int line) {
  std::fprintf(stderr, "claim failed: %s: %s at %s:%d\n", claim, expression, file, line);
  std::abort();
}

/// Takes an input apart from the front. Whatever is asked of an input that has ended is zero or empty, so that every
/// input means something and a shorter one means less.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : left_(size == 0 ? std::string_view() : std::string_view(reinterpret_cast<const char*>(data), size)) {}

  bool is_empty() const { return left_.empty(); }
  std::uint8_t byte() { return static_cast<std::uint8_t>(number(1)); }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (const char c : take(bytes)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::size_t below(std::size_t bound) { return byte() % bound; }
  bool flag() { return (byte() & 1) != 0; }
  std::string_view take(std::size_t bytes) {
    const std::string_view taken = left_.substr(0, std::min(bytes, left_.size()));
    left_.remove_prefix(taken.size());
    return taken;
  }
  /// A byte of length, then so many bytes.
  std::string_view piece() { return take(byte()); }
  std::string_view rest() { return take(left_.size()); }
  /// As piece(), with a '?' for everything that is no UTF-8.
  std::string text() {
    std::string out;
    std::string_view from = piece();
    while (!from.empty()) {
      std::size_t size = 1;
      while (size < 4 && size < from.size() && !is_valid_utf8(from.substr(0, size))) ++size;
      const bool is_whole = is_valid_utf8(from.substr(0, size));
      if (!is_whole) size = 1;
      if (is_whole) {
        out += from.substr(0, size);
      } else {
        out += '?';
      }
      from.remove_prefix(size);
    }
    return out;
  }

 private:
  std::string_view left_;
};

}  // namespace tidegate::fuzz

/// A property of every input: says which one broke, and stops the program there.
#define TG_CLAIM(claim, expression)                     \
  (static_cast<bool>(expression) ? static_cast<void>(0) \
                                 : ::tidegate::fuzz::claim_failed(claim, #expression, __FILE__, __LINE__))
