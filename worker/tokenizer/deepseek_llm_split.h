#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tidegate::worker {

enum class DigitPieces : std::uint8_t { kRuns, kSingle };

/// DeepSeek LLM, MoE-16B and V2. One split after another, each applied to all pieces of the one before: single CR or LF |
/// optional whitespace + letters with case | optional whitespace + punctuation of ASCII, its full-width forms and a few
/// more | whitespace at the end | CJK and its neighbours | numbers. Linear.
void split_deepseek_llm(std::string_view text, DigitPieces digits, std::vector<std::string_view>& pieces);

/// DeepSeek Coder: the same with \p{L} and \p{P}, without the split of whitespace, and single digits.
void split_deepseek_coder(std::string_view text, std::vector<std::string_view>& pieces);

}  // namespace tidegate::worker
