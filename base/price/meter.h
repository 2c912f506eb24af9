#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/core/result.h"

namespace tidegate::price {

/// What is counted and priced. Wire names: input_cache_hit, input_cache_miss, output.
enum class Meter : std::uint8_t { kInputCacheHit, kInputCacheMiss, kOutput };

inline constexpr std::size_t kMeterCount = 3;
inline constexpr Meter kMeters[kMeterCount] = {Meter::kInputCacheHit, Meter::kInputCacheMiss, Meter::kOutput};

std::string_view meter_name(Meter meter);
std::optional<Meter> parse_meter(std::string_view name);

/// Tokens of one request, by meter. Reasoning tokens are output tokens.
struct TokenCounts {
  std::int64_t hit = 0;
  std::int64_t miss = 0;
  std::int64_t output = 0;

  /// From what an engine reports. Fails: invalid_argument/bad_usage when a count is negative, cached > prompt or
  /// reasoning > completion; Error::field names the count.
  static Result<TokenCounts> from_usage(std::int64_t prompt, std::int64_t cached, std::int64_t completion,
                                        std::int64_t reasoning);

  std::int64_t of(Meter meter) const;
  bool operator==(const TokenCounts&) const = default;
};

}  // namespace tidegate::price
