#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidegate::worker {

/// Unicode's normalisation form C (UAX 15), which Qwen2's tokenizer applies to its input: canonical decomposition, marks
/// in canonical order, canonical composition. Bytes that are not UTF-8 stay as they are. O(n log n).
std::string to_nfc(std::string_view text);

/// Written by tools/make_nfc_tables.py.
struct NfcDecomposition {
  std::uint32_t character;
  std::uint32_t first;
  std::uint32_t second;  ///< 0: none
};
struct NfcComposition {
  std::uint32_t first;
  std::uint32_t second;
  std::uint32_t character;
};
struct NfcClass {
  std::uint32_t character;
  std::uint8_t combining_class;
};
extern const NfcDecomposition kNfcDecompositions[];
extern const NfcComposition kNfcCompositions[];
extern const NfcClass kNfcClasses[];
extern const std::size_t kNfcDecompositionsCount;
extern const std::size_t kNfcCompositionsCount;
extern const std::size_t kNfcClassesCount;

}  // namespace tidegate::worker
