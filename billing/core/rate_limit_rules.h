#pragma once

#include <cstdint>
#include <string_view>

#include "base/core/result.h"
#include "billing/core/cap_rules.h"

/// What a limit on rates may be. Pure.
namespace tidegate::billing {

/// Every gateway keeps every limit in memory.
inline constexpr std::int64_t kRateLimitsOfTenantMax = 1'000;
/// Sums of a window stay far inside 53 bits, which is what Redis' scripts count with.
inline constexpr std::int64_t kRateMax = 1'000'000'000'000;
inline constexpr std::size_t kRateModelBytesMax = 128;

/// 0 = not limited.
struct RateNumbers {
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;
  std::int64_t tokens_per_day = 0;
  std::int64_t concurrency = 0;
  bool operator==(const RateNumbers&) const = default;
};

/// Whose, as the caller wrote it: at most one is set. Never kUser. Fails: invalid_argument/bad_limit.
Result<CapScope> rate_scope_of(std::string_view project, std::string_view key);
/// Fails: invalid_argument/bad_limit naming the field.
Status check_rate_numbers(const RateNumbers& numbers);
/// Whether there is such a model is not asked: it may come later. Fails: invalid_argument/bad_limit.
Status check_rate_model(std::string_view model);

}  // namespace tidegate::billing
