#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace tidegate::worker {

/// The one pattern that Llama 3 (numbers of one to three digits) and Qwen2 (single digits) share, after GPT-4's:
/// English contractions in any case | optional one char not CR/LF/L/N + run of L | digits | optional space + run of what is
/// neither space nor L nor N + any CR/LF | whitespace as match_space() has it.
/// Every character belongs to a match. Linear.
void split_gpt4(std::string_view text, std::uint32_t digits_max, std::vector<std::string_view>& pieces);

}  // namespace tidegate::worker
