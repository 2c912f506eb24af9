#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

/// Looks for bytes that need care, eight at a time: nearly every text on the way out has none of them.
namespace tidegate {

inline constexpr std::size_t kWordBytes = 8;
inline constexpr std::uint64_t kEachByte = 0x0101010101010101U;
inline constexpr std::uint64_t kEachHighBit = 0x8080808080808080U;

/// kWordBytes from `from` on, in whatever order.
inline std::uint64_t load_word(const char* from) {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

/// Whether a byte of the word is below `least`, which is at most 128.
inline constexpr bool has_byte_below(std::uint64_t word, std::uint8_t least) {
  return ((word - kEachByte * least) & ~word & kEachHighBit) != 0;
}
inline constexpr bool has_byte(std::uint64_t word, char byte) {
  return has_byte_below(word ^ kEachByte * static_cast<std::uint8_t>(byte), 1);
}
inline constexpr bool has_high_byte(std::uint64_t word) { return (word & kEachHighBit) != 0; }

/// What a JSON string cannot hold as it is.
inline constexpr bool needs_json_escape(std::uint64_t word) {
  return has_byte_below(word, 0x20) || has_byte(word, '"') || has_byte(word, '\\');
}
inline constexpr bool has_control(std::uint64_t word) { return has_byte_below(word, 0x20) || has_byte(word, 0x7f); }

/// Whether `is_word` is true of any eight bytes of `text`, or, where it is shorter than that, `is_byte` of any byte.
/// Both must say the same of the same bytes.
template <typename IsWord, typename IsByte>
bool any_byte(std::string_view text, IsWord is_word, IsByte is_byte) {
  if (text.size() < kWordBytes) {
    for (const char c : text) {
      if (is_byte(c)) return true;
    }
    return false;
  }
  const std::size_t last = text.size() - kWordBytes;
  for (std::size_t i = 0; i < last; i += kWordBytes) {
    if (is_word(load_word(text.data() + i))) return true;
  }
  return is_word(load_word(text.data() + last));  // some of its bytes for the second time
}

}  // namespace tidegate
