#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/redis/script.h"
#include "gateway/core/rate_limiter.h"

namespace tidegate::gateway {

/// Performs calls of the RateLimiter in Redis: one call is one run of one script, so one atomic step by the server's
/// clock. Belongs to the executor of its Redis.
///
/// Keys: `tg:limit:gateways`, a hash of who lives; `tg:limit:{rule id}:{r|t|d}`, a hash of window and used;
/// `tg:limit:{rule id}:c`, a hash of slots by gateway. All expire by themselves.
class RateScript {
 public:
  /// `gateway_id` is unique among gateways; `epoch` grows with every life of this one: slots of an earlier life are free
  /// as soon as the later one has been heard of.
  RateScript(Redis& redis, std::string gateway_id, std::uint64_t epoch);

  /// Fails as Redis::command(); internal/bad_reply.
  awaitable<Result<RateReply>> send(RateCall call, Deadline deadline);

  static const std::string_view kSource;

 private:
  Redis& redis_;
  Script script_;
  const std::string gateway_id_;
  const std::string epoch_;
};

}  // namespace tidegate::gateway
