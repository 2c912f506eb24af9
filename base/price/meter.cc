#include "base/price/meter.h"

#include <fmt/format.h>

namespace tidegate::price {

std::string_view meter_name(Meter meter) {
  switch (meter) {
    case Meter::kInputCacheHit: return "input_cache_hit";
    case Meter::kInputCacheMiss: return "input_cache_miss";
    case Meter::kOutput: return "output";
  }
  return "";
}

std::optional<Meter> parse_meter(std::string_view name) {
  for (const Meter meter : kMeters) {
    if (meter_name(meter) == name) return meter;
  }
  return std::nullopt;
}

Result<TokenCounts> TokenCounts::from_usage(std::int64_t prompt, std::int64_t cached, std::int64_t completion,
                                            std::int64_t reasoning) {
  auto refuse = [](std::string_view field, std::string message) {
    return fail(Code::kInvalidArgument, "bad_usage", std::move(message), std::string(field));
  };
  if (prompt < 0) return refuse("prompt_tokens", fmt::format("prompt_tokens is {}, must be >= 0", prompt));
  if (completion < 0) return refuse("completion_tokens", fmt::format("completion_tokens is {}, must be >= 0", completion));
  if (cached < 0 || cached > prompt) {
    return refuse("cached_tokens", fmt::format("cached_tokens is {}, must be between 0 and prompt_tokens {}", cached, prompt));
  }
  if (reasoning < 0 || reasoning > completion) {
    return refuse("reasoning_tokens", fmt::format("reasoning_tokens is {}, must be between 0 and completion_tokens {}",
                                                  reasoning, completion));
  }
  return TokenCounts{cached, prompt - cached, completion};
}

std::int64_t TokenCounts::of(Meter meter) const {
  switch (meter) {
    case Meter::kInputCacheHit: return hit;
    case Meter::kInputCacheMiss: return miss;
    case Meter::kOutput: return output;
  }
  return 0;
}

}  // namespace tidegate::price
