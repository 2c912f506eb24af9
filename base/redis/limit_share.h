#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/redis/script.h"

namespace tidegate {

/// A gateway's request for part of a limit that all gateways share ("600 requests a minute for this key").
struct LimitShareRequest {
  LimitShareRequest(std::string key_in, std::int64_t limit_in, std::int64_t want_in, std::int64_t least_in)
      : key(std::move(key_in)), limit(limit_in), want(want_in), least(least_in) {}
  std::string key;     ///< names the limit, e.g. "rpm:<api key id>"
  std::int64_t limit;  ///< per window, over all gateways
  std::int64_t want;   ///< as many as are left up to here are granted
  std::int64_t least;  ///< fewer than this are of no use: then nothing is taken. least == want is all or nothing
  std::chrono::milliseconds window{60'000};
};

struct LimitShare {
  std::int64_t granted = 0;  ///< 0, or least..want
  std::int64_t left = 0;     ///< of the limit in this window, after this grant
  /// Until the window ends, by the server's clock. A share not used by then is worth nothing.
  std::chrono::milliseconds reset{0};
};

/// Takes shares in one atomic step per call, by the Redis server's clock alone (gateways' clocks do not matter).
/// Windows are fixed and aligned to the epoch. Over all callers the sum granted in a window never exceeds the limit,
/// as long as Redis keeps its memory; a Redis that forgot grants a window's limit anew, which is why this is for
/// rates and never for money. A change of the limit counts from the next call on.
class LimitShares {
 public:
  explicit LimitShares(Redis& redis) : redis_(redis), script_(kSource) {}

  /// Fails: as Redis::command(); invalid_argument/bad_limit_share for limits or wants below 1.
  awaitable<Result<LimitShare>> take(LimitShareRequest request, Deadline deadline);

  static const std::string_view kSource;

 private:
  Redis& redis_;
  Script script_;
};

}  // namespace tidegate
