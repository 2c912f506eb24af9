#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tidegate::worker {

/// What a pre-tokenizer pattern can ask of a character. The classes are disjoint: no White_Space character is
/// a letter, mark, number, punctuation or symbol.
enum class CharClass : std::uint8_t {
  kOther = 0,   ///< controls, formats, unassigned, and bytes that are not UTF-8
  kLetter = 1,  ///< \p{L}
  kMark = 2,    ///< \p{M}
  kNumber = 3,  ///< \p{N}
  kPunct = 4,   ///< \p{P}
  kSymbol = 5,  ///< \p{S}
  kSpace = 6,   ///< \s, the White_Space property
};

/// Class of a code point below 0x110000.
CharClass char_class(std::uint32_t code_point);

/// One character of a text. An invalid byte is a character of its own with class kOther, so every text has
/// exactly one segmentation and nothing is lost.
struct Char {
  std::uint32_t code_point = 0;  ///< 0xFFFFFFFF for an invalid byte
  std::uint32_t bytes = 0;       ///< 1..4
  CharClass char_class = CharClass::kOther;
};

/// The character that starts at `at`, which must be inside the text.
Char char_at(std::string_view text, std::size_t at);

/// Sorted ranges written by tools/make_unicode_ranges.py.
extern const std::uint32_t kUnicodeRanges[];
extern const std::size_t kUnicodeRangesCount;

}  // namespace tidegate::worker
