#include "worker/tokenizer/nfc.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "worker/tokenizer/char_class.h"

namespace tidegate::worker {
namespace {

/// Below this nothing decomposes without composing back, and nothing combines.
constexpr std::uint32_t kFirstOfInterest = 0x300;
/// A byte that is no character travels as a number above all characters.
constexpr std::uint32_t kRawByte = 0x110000;

// Hangul syllables by formula (Unicode, section 3.12).
constexpr std::uint32_t kSyllables = 0xAC00;
constexpr std::uint32_t kLeading = 0x1100;
constexpr std::uint32_t kVowels = 0x1161;
constexpr std::uint32_t kTrailing = 0x11A7;  // one before the first: 0 trailing consonants
constexpr std::uint32_t kLeadingCount = 19;
constexpr std::uint32_t kVowelCount = 21;
constexpr std::uint32_t kTrailingCount = 28;
constexpr std::uint32_t kSyllableCount = kLeadingCount * kVowelCount * kTrailingCount;

struct Unit {
  std::uint32_t code = 0;
  std::uint8_t combining_class = 0;
};

std::uint8_t combining_class(std::uint32_t code) {
  const std::span classes(kNfcClasses, kNfcClassesCount);
  const auto found = std::ranges::lower_bound(classes, code, {}, &NfcClass::character);
  return found != classes.end() && found->character == code ? found->combining_class : std::uint8_t{0};
}

void decompose(std::uint32_t code, std::vector<Unit>& out) {
  if (code >= kSyllables && code < kSyllables + kSyllableCount) {
    const std::uint32_t index = code - kSyllables;
    out.push_back({kLeading + index / (kVowelCount * kTrailingCount), 0});
    out.push_back({kVowels + index / kTrailingCount % kVowelCount, 0});
    if (index % kTrailingCount != 0) out.push_back({kTrailing + index % kTrailingCount, 0});
    return;
  }
  const std::span table(kNfcDecompositions, kNfcDecompositionsCount);
  const auto found = std::ranges::lower_bound(table, code, {}, &NfcDecomposition::character);
  if (found == table.end() || found->character != code) {
    out.push_back({code, combining_class(code)});
    return;
  }
  decompose(found->first, out);  // at most four deep, as the tables are
  if (found->second != 0) decompose(found->second, out);
}

/// Marks behind a character in the order of their classes; equal ones as they came.
void order_marks(std::vector<Unit>& units) {
  for (std::size_t at = 0; at < units.size();) {
    if (units[at].combining_class == 0) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < units.size() && units[end].combining_class != 0) ++end;
    std::ranges::stable_sort(units.begin() + static_cast<std::ptrdiff_t>(at),
                             units.begin() + static_cast<std::ptrdiff_t>(end), {}, &Unit::combining_class);
    at = end;
  }
}

/// 0 if the two do not compose.
std::uint32_t compose_pair(std::uint32_t first, std::uint32_t second) {
  if (first >= kLeading && first < kLeading + kLeadingCount && second >= kVowels && second < kVowels + kVowelCount) {
    return kSyllables + ((first - kLeading) * kVowelCount + (second - kVowels)) * kTrailingCount;
  }
  const bool is_open_syllable = first >= kSyllables && first < kSyllables + kSyllableCount &&
                                (first - kSyllables) % kTrailingCount == 0;
  if (is_open_syllable && second > kTrailing && second < kTrailing + kTrailingCount) return first + (second - kTrailing);
  const std::span table(kNfcCompositions, kNfcCompositionsCount);
  const auto found = std::ranges::lower_bound(table, std::pair(first, second), {},
                                              [](const NfcComposition& row) { return std::pair(row.first, row.second); });
  return found != table.end() && found->first == first && found->second == second ? found->character : 0;
}

std::vector<Unit> compose(const std::vector<Unit>& units) {
  std::vector<Unit> out;
  out.reserve(units.size());
  std::size_t starter = units.size();  // none yet
  for (const Unit& unit : units) {
    if (starter < out.size()) {
      const bool is_blocked = out.size() - 1 != starter && out.back().combining_class >= unit.combining_class;
      const std::uint32_t joined = is_blocked ? 0 : compose_pair(out[starter].code, unit.code);
      if (joined != 0) {
        out[starter].code = joined;
        continue;
      }
    }
    if (unit.combining_class == 0) starter = out.size();
    out.push_back(unit);
  }
  return out;
}

void append_utf8(std::uint32_t code, std::string& out) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(static_cast<std::uint8_t>(byte))); };
  if (code >= kRawByte) {
    put(code - kRawByte);
  } else if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

}  // namespace

std::string to_nfc(std::string_view text) {
  std::vector<Unit> units;
  units.reserve(text.size());
  bool is_plain = true;
  for (std::size_t at = 0; at < text.size();) {
    const Char c = char_at(text, at);
    const bool is_raw = c.code_point > 0x10FFFF;
    if (!is_raw && c.code_point >= kFirstOfInterest) is_plain = false;
    if (is_raw) {
      units.push_back({kRawByte + static_cast<std::uint8_t>(text[at]), 0});
    } else {
      decompose(c.code_point, units);
    }
    at += c.bytes;
  }
  if (is_plain) return std::string(text);
  order_marks(units);
  std::string out;
  out.reserve(text.size());
  for (const Unit& unit : compose(units)) append_utf8(unit.code, out);
  return out;
}

}  // namespace tidegate::worker
