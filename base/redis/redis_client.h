#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/core/log.h"
#include "base/core/metrics.h"
#include "base/redis/redis.h"

namespace tidegate {

struct RedisOptions {
  std::string address;  ///< "unix:/run/redis.sock" or "host:6379"
  std::string password;  ///< "" for none
  std::chrono::milliseconds connect_timeout{1'000};
  std::chrono::milliseconds backoff_least{20};
  std::chrono::milliseconds backoff_most{2'000};
  std::size_t in_flight_max = 1'024;
  std::string service = "redis";  ///< second word of the metric names
};

/// One pipelined connection, kept up in the background with jittered back-off. While it is down commands fail at
/// once; nothing queues behind an outage. Replies are matched strictly in order by the connection itself, and a
/// command that is given up (deadline or cancellation) closes the connection: its late reply can never reach
/// another caller.
class RedisClient final : public Redis {
 public:
  /// Begins connecting on `executor`, a single-threaded one. `seed` feeds the jitter.
  /// Fails: invalid_argument/bad_address.
  static Result<std::unique_ptr<RedisClient>> start(Executor executor, RedisOptions options, Log& log,
                                                    MetricRegistry& metrics, std::uint64_t seed);
  /// On the executor's thread, or after it has stopped; before its io_context is destroyed.
  ~RedisClient() override;

  awaitable<Result<RedisReply>> command(RedisArgs args, Deadline deadline) override;
  bool is_connected() const override;
  /// Waits for a usable connection; false at the deadline. For start-up and tests; one waiter at a time.
  awaitable<bool> wait_connected(Deadline deadline);

 private:
  struct State;
  explicit RedisClient(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  // shared with the background coroutine, which ends a moment later
};

}  // namespace tidegate
