#include "worker/tokenizer/char_class.h"

#include <algorithm>
#include <array>
#include <span>

namespace tidegate::worker {
namespace {

constexpr std::uint32_t kBmpEnd = 0x10000;

CharClass search(std::uint32_t code_point) {
  const std::span ranges(kUnicodeRanges, kUnicodeRangesCount);
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), code_point << 3 | 7U);
  return static_cast<CharClass>(*(after - 1) & 7U);
}

// Nearly all text lies in the first plane; one byte each costs 64 KiB and saves a binary search per
// character.
const std::array<CharClass, kBmpEnd>& bmp_classes() {
  static const auto classes = [] {
    std::array<CharClass, kBmpEnd> table{};
    for (std::size_t index = 0; index < kUnicodeRangesCount; ++index) {
      const std::uint32_t first = kUnicodeRanges[index] >> 3;
      if (first >= kBmpEnd) break;
      const bool last_range = index + 1 == kUnicodeRangesCount;
      const std::uint32_t end = last_range ? kBmpEnd : std::min(kBmpEnd, kUnicodeRanges[index + 1] >> 3);
      std::fill(table.begin() + first, table.begin() + end,
                static_cast<CharClass>(kUnicodeRanges[index] & 7U));
    }
    return table;
  }();
  return classes;
}

bool continuation(std::string_view text, std::size_t at) {
  return at < text.size() && (static_cast<std::uint8_t>(text[at]) & 0xC0U) == 0x80U;
}

std::uint32_t low_bits(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]) & 0x3FU;
}

constexpr Char kInvalid{0xFFFFFFFFU, 1, CharClass::kOther};

}  // namespace

CharClass char_class(std::uint32_t code_point) {
  return code_point < kBmpEnd ? bmp_classes()[code_point] : search(code_point);
}

Char char_at(std::string_view text, std::size_t at) {
  const std::uint32_t lead = static_cast<std::uint8_t>(text[at]);
  if (lead < 0x80) return {lead, 1, char_class(lead)};
  std::uint32_t bytes = 0;
  std::uint32_t code_point = 0;
  std::uint32_t smallest = 0;  // refuses overlong forms
  if ((lead & 0xE0U) == 0xC0U) {
    bytes = 2, code_point = lead & 0x1FU, smallest = 0x80;
  } else if ((lead & 0xF0U) == 0xE0U) {
    bytes = 3, code_point = lead & 0x0FU, smallest = 0x800;
  } else if ((lead & 0xF8U) == 0xF0U) {
    bytes = 4, code_point = lead & 0x07U, smallest = 0x10000;
  } else {
    return kInvalid;
  }
  for (std::uint32_t index = 1; index < bytes; ++index) {
    if (!continuation(text, at + index)) return kInvalid;
    code_point = code_point << 6 | low_bits(text, at + index);
  }
  const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
  if (code_point < smallest || code_point > 0x10FFFF || surrogate) return kInvalid;
  return {code_point, bytes, char_class(code_point)};
}

}  // namespace tidegate::worker
