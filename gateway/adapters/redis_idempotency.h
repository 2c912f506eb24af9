#pragma once

#include <chrono>
#include <string_view>

#include "base/core/clock.h"
#include "base/redis/script.h"
#include "gateway/ports.h"

namespace tidegate::gateway {

struct RedisIdempotencyOptions {
  std::chrono::milliseconds time_to_live{24 * 3'600'000};  ///< of what is remembered, from its last step on
  std::chrono::milliseconds lease{20'000};                 ///< of a request under way; lapses when its gateway dies
  Duration wait_max = std::chrono::milliseconds(500);      ///< for Redis to answer; then the request gets 503
};

/// Idempotency keys in Redis: one hash a key, one Lua script a step, by the server's clock. A Redis that lost its
/// memory has forgotten the keys, too: a repeat then runs again.
class RedisIdempotency final : public IdempotencyStore {
 public:
  /// `redis` and `clock` outlive it; it belongs to the executor of `redis`.
  RedisIdempotency(Redis& redis, const RedisIdempotencyOptions& options, const Clock& clock)
      : redis_(redis), options_(options), clock_(clock), claim_(kClaim), step_(kStep) {}

  awaitable<Result<std::optional<IdempotencyEntry>>> claim(std::string name, std::string digest,
                                                           std::string owner) override;
  awaitable<Status> renew(std::string name, std::string owner) override;
  awaitable<Status> commit(std::string name, std::string owner) override;
  awaitable<Status> finish(std::string name, std::string owner, AnswerState state, std::string answer) override;
  awaitable<Status> release(std::string name, std::string owner) override;

  static const std::string_view kClaim, kStep;

 private:
  awaitable<Status> step(std::string name, std::string owner, std::string verb, std::chrono::milliseconds span,
                         std::string answer);
  Deadline soon() const { return Deadline::after(clock_.mono(), options_.wait_max); }

  Redis& redis_;
  const RedisIdempotencyOptions options_;
  const Clock& clock_;
  Script claim_;
  Script step_;
};

}  // namespace tidegate::gateway
