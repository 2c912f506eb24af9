#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tidegate::worker {

/// The known ways to cut text into pieces before merging. Each is hand-written from the patterns of the
/// checkpoint's tokenizer.json; loading refuses any other pattern, because a near match would give wrong ids
/// silently.
enum class PreTokenizerKind : std::uint8_t {
  kDeepseekV3,
  kQwen2,
  kLlama3,
  kDeepseekLlm,              ///< LLM, MoE-16B, V2, with numbers whole
  kDeepseekLlmSingleDigits,  ///< the same with every digit alone
  kDeepseekCoder,
};

/// Cuts `text` into pieces that together are the text, in order. Merges never cross a piece's edge. Linear in
/// the text. Invalid UTF-8 is cut byte by byte like unassigned characters. Pieces are views into `text`.
std::vector<std::string_view> split_pieces(PreTokenizerKind kind, std::string_view text);

}  // namespace tidegate::worker
