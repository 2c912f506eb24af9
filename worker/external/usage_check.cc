#include "worker/external/usage_check.h"

#include <algorithm>
#include <limits>

namespace tidegate::worker::external {
namespace {

constexpr std::int64_t kTokensMax = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kWhole = 100;

struct Billed {
  std::int64_t tokens = 0;
  UsageVerdict verdict = UsageVerdict::kAgrees;
};

std::int64_t highest(const TokenRange& range, const UsageTolerance& tolerance) {
  return range.most + range.most * tolerance.percent / kWhole + tolerance.tokens;
}

std::int64_t less_percent(std::int64_t tokens, const UsageTolerance& tolerance) {
  return tokens - (tokens * tolerance.percent + kWhole - 1) / kWhole;
}

std::int64_t lowest(const TokenRange& range, const UsageTolerance& tolerance) {
  return std::max<std::int64_t>(0, less_percent(range.least, tolerance) - tolerance.tokens);
}

Billed bill(const std::optional<std::int64_t>& reported, const TokenRange& range, const UsageTolerance& tolerance) {
  if (!reported) return {range.least, UsageVerdict::kMissing};
  if (*reported > highest(range, tolerance)) return {range.most, UsageVerdict::kOverReported};
  if (*reported < lowest(range, tolerance)) return {*reported, UsageVerdict::kUnderReported};
  return {*reported, UsageVerdict::kAgrees};
}

std::int32_t narrow_tokens(std::int64_t tokens) {
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(tokens, 0, kTokensMax));
}

}  // namespace

std::string_view verdict_name(UsageVerdict verdict) {
  switch (verdict) {
    case UsageVerdict::kAgrees: return "agrees";
    case UsageVerdict::kMissing: return "missing";
    case UsageVerdict::kUnderReported: return "under";
    case UsageVerdict::kOverReported: return "over";
  }
  return "";
}

std::int32_t accepted_prompt(std::optional<std::int64_t> reported, const TokenRange& counted, const UsageTolerance& tolerance) {
  return std::max(1, narrow_tokens(bill(reported, counted, tolerance).tokens));
}

std::int32_t completion_floor(const TokenRange& counted, const UsageTolerance& tolerance) {
  return narrow_tokens(less_percent(counted.least, tolerance));
}

CheckedUsage check_usage(const std::optional<ReportedUsage>& reported, const CountedUsage& counted,
                         const UsageTolerance& tolerance, const SequenceUsage& told, std::int32_t completion_max) {
  const ReportedUsage word = reported.value_or(ReportedUsage());
  const Billed prompt = bill(word.prompt, counted.prompt, tolerance);
  const Billed completion = bill(word.completion, counted.completion, tolerance);
  CheckedUsage checked;
  checked.prompt = prompt.verdict;
  checked.completion = completion.verdict;
  SequenceUsage& usage = checked.usage;
  usage.prompt_tokens = std::max(1, told.prompt_tokens);
  usage.completion_tokens =
      std::max(told.completion_tokens, std::min(completion_max, narrow_tokens(completion.tokens)));
  // At least one prompt token is always computed.
  usage.cached_tokens = std::min(narrow_tokens(word.cached.value_or(told.cached_tokens)), usage.prompt_tokens - 1);
  const std::int64_t reasoning = word.reasoning.value_or(counted.reasoning.least);
  usage.reasoning_tokens =
      std::min(usage.completion_tokens, std::max(told.reasoning_tokens, narrow_tokens(reasoning)));
  return checked;
}

}  // namespace tidegate::worker::external
