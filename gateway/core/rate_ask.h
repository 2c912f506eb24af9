#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/core/clock.h"
#include "gateway/core/rate_rule.h"

namespace tidegate::gateway {

/// One limit of one rule: what is counted, here and in Redis.
struct RateKey {
  Uuid rule;
  RateMeter meter = RateMeter::kRequests;
  bool operator==(const RateKey&) const = default;
};

/// How the limits are held together at the moment.
struct RateFleet {
  bool is_shared = false;     ///< Redis hands out shares; else every gateway keeps to its static part
  std::int64_t gateways = 1;  ///< >= 1

  /// A gateway's part of a limit while Redis is away. One at least: nobody is locked out by an outage.
  std::int64_t static_part(std::int64_t limit) const { return std::max<std::int64_t>(limit / gateways, 1); }
};

/// What Redis is asked of one limit, as one entry of an atomic step (gateway/limits/rate_script.cc performs it).
/// Entries of one group are granted all or none.
///
/// Windows: `adjust` is first added to what the window `mark` has used, if that is still the window (negative: given
/// back; positive: used here without having been asked for). Then `want` or what is left is taken, unless less than
/// `least` is left.
/// Requests at once (span 0): `mark` slots are in use whatever the answer; this gateway's holding becomes `want` or
/// what the others leave, at least `mark`; exactly `mark` when that would be less than `least`.
struct RateAsk {
  RateKey key;
  std::size_t group = 0;
  std::int64_t span_ms = 0;
  std::int64_t limit = 0;
  std::int64_t mark = 0;
  std::int64_t adjust = 0;
  std::int64_t least = 0;
  std::int64_t want = 0;
};

struct RateAnswer {
  std::int64_t window = 0;   ///< that the server is in
  std::int64_t granted = 0;  ///< taken now; of requests at once: the whole holding
  std::int64_t left = 0;     ///< after that, over all gateways
};

/// A limit that Redis said is used up is believed to be for so long: other gateways give back what they do not need.
inline constexpr Duration kRateDeniedMemory = std::chrono::milliseconds(100);
/// Shares are meant to last this long at the pace of the last second, ...
inline constexpr Duration kRateHorizon = std::chrono::milliseconds(200);
/// ... and no gateway holds more than its part of this fraction of the limit: what lies with one is missed by another.
inline constexpr std::int64_t kRateSliceParts = 16;

/// How much to hold in store of a limit of which `pace` units are wanted within the horizon.
inline std::int64_t rate_slice(std::int64_t limit, std::int64_t pace, const RateFleet& fleet) {
  return fleet.is_shared ? std::min(pace, limit / (kRateSliceParts * fleet.gateways)) : 0;
}

}  // namespace tidegate::gateway

template <>
struct std::hash<tidegate::gateway::RateKey> {
  std::size_t operator()(const tidegate::gateway::RateKey& key) const noexcept {
    return std::hash<tidegate::Uuid>()(key.rule) * 4 + static_cast<std::size_t>(key.meter);
  }
};
