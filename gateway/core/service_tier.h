#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tidegate::gateway {

/// How urgently a request is served; ascending. What a tier is worth against the others: fair_queue.h.
enum class ServiceTier : std::uint8_t { kFlex, kDefault, kPriority };

inline constexpr std::size_t kServiceTiers = 3;

constexpr std::size_t tier_index(ServiceTier tier) { return static_cast<std::size_t>(tier); }

/// As OpenAI's `service_tier` names it.
constexpr std::string_view tier_name(ServiceTier tier) {
  switch (tier) {
    case ServiceTier::kFlex: return "flex";
    case ServiceTier::kDefault: return "default";
    case ServiceTier::kPriority: return "priority";
  }
  return "default";
}

constexpr std::optional<ServiceTier> parse_tier(std::string_view name) {
  if (name == "flex") return ServiceTier::kFlex;
  if (name == "default") return ServiceTier::kDefault;
  if (name == "priority") return ServiceTier::kPriority;
  return std::nullopt;
}

/// What a caller gets that asks for `asked` and may have `most`: never an error, since the answer says what was served.
constexpr ServiceTier grant_tier(std::optional<ServiceTier> asked, ServiceTier most) {
  return std::min(asked.value_or(ServiceTier::kDefault), most);
}

}  // namespace tidegate::gateway
