#pragma once

#include <span>
#include <string_view>

#include "worker/tokenizer/pre_tokenizer.h"

namespace tidegate::worker {

/// The patterns of a kind as tokenizer.json spells them, in order, line breaks escaped; a Digits step is the pattern that
/// it stands for. The splitters are their translation, so this is what a file is held against.
struct SplitPatterns {
  PreTokenizerKind kind;
  std::span<const std::string_view> patterns;
};
std::span<const SplitPatterns> known_split_patterns();

/// Insides of DeepSeek LLM's character classes. Letters are those with case, as of the Unicode version of their day.
extern const std::string_view kDeepseekLlmLetters;
extern const std::string_view kDeepseekLlmPuncts;
extern const std::string_view kDeepseekLlmCjk;

}  // namespace tidegate::worker
