#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "worker/engine/engine.h"

/// What an external engine says an answer took, held against a count of our own. Pure.
namespace tidegate::worker::external {

/// What can be proved without the engine. With the model's tokenizer the two are nearly one; from bytes alone they lie far
/// apart.
struct TokenRange {
  std::int64_t least = 0;
  std::int64_t most = 0;

  TokenRange operator+(const TokenRange& other) const { return {least + other.least, most + other.most}; }
  bool operator==(const TokenRange&) const = default;
};

struct CountedUsage {
  TokenRange prompt;
  TokenRange completion;  ///< reasoning included
  TokenRange reasoning;
};

/// The engine's word; a number that it did not say, or that is none, is unset.
struct ReportedUsage {
  std::optional<std::int64_t> prompt;
  std::optional<std::int64_t> cached;
  std::optional<std::int64_t> completion;
  std::optional<std::int64_t> reasoning;
};

/// How far the engine's word may lie outside of the range: templates, end tokens and thinking marks are not in our text.
struct UsageTolerance {
  std::int64_t percent = 5;  ///< of the range's end; 0..100
  std::int64_t tokens = 32;
};

/// Later ones are worse: of a prompt and a completion the worse is counted.
enum class UsageVerdict : std::uint8_t { kAgrees, kMissing, kUnderReported, kOverReported };

std::string_view verdict_name(UsageVerdict verdict);

struct CheckedUsage {
  SequenceUsage usage;  ///< what is billed
  UsageVerdict prompt = UsageVerdict::kAgrees;
  UsageVerdict completion = UsageVerdict::kAgrees;

  UsageVerdict worse() const { return prompt > completion ? prompt : completion; }
};

/// What a prompt is told and billed as, decided once, when the engine begins to answer: gateways give the rest of what they
/// held back to others then. The engine's word if it has said one by then, within the tolerance of our count or below it;
/// else our own count, the least of it. At least 1.
std::int32_t accepted_prompt(std::optional<std::int64_t> reported, const TokenRange& counted, const UsageTolerance& tolerance);
/// What may be told of an answer that goes on: no final count within the tolerance lies below it by more than its tokens.
std::int32_t completion_floor(const TokenRange& counted, const UsageTolerance& tolerance);

/// Of an answer that ended well. The prompt is what was told at its acceptance; only whether the engine agrees is found. Of the
/// completion: within the tolerance the engine's word is billed. Above it the most that we can count is;
/// below it the engine's word, the smaller. A missing one is billed as the least that we can count.
/// Never below `told`, which gateways have delivered against (counts never fall), and never above `completion_max`.
CheckedUsage check_usage(const std::optional<ReportedUsage>& reported, const CountedUsage& counted,
                         const UsageTolerance& tolerance, const SequenceUsage& told, std::int32_t completion_max);

}  // namespace tidegate::worker::external
