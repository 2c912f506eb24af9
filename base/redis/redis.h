#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/net/asio.h"

namespace tidegate {

/// One RESP2 reply. Server errors are not replies: they come as Error.
struct RedisReply {
  enum class Kind : std::uint8_t { kNil, kInteger, kText, kArray };

  RedisReply() = default;
  static RedisReply nil() { return RedisReply(); }
  static RedisReply of_integer(std::int64_t value);
  static RedisReply of_text(std::string value);
  static RedisReply of_array(std::vector<RedisReply> values);

  Kind kind = Kind::kNil;
  std::int64_t integer = 0;
  std::string text;  ///< bulk or status string
  std::vector<RedisReply> items;

  bool is_nil() const { return kind == Kind::kNil; }
  bool operator==(const RedisReply&) const = default;
};

using RedisArgs = std::vector<std::string>;

/// Port: Redis as this platform uses it, for what may be forgotten (rate shares, idempotency marks), never for money.
/// Belongs to one executor; commands are awaited there.
///
/// Fails, beside what the command itself means:
///   unavailable/redis_down        nothing was sent: no connection, or the server is loading or blocked
///   unavailable/redis_lost        the connection broke after sending: whether it happened is unknown
///   deadline_exceeded/redis_timeout  as redis_lost; the connection was closed, so that the late reply is nobody's
///   resource_exhausted/redis_full too many commands in flight
///   failed_precondition/redis_error  the server refused the command; the message is its own
///   failed_precondition/redis_noscript  EVALSHA of a script the server does not know
class Redis {
 public:
  virtual ~Redis() = default;
  virtual awaitable<Result<RedisReply>> command(RedisArgs args, Deadline deadline) = 0;
  /// Any thread; may be stale by a moment.
  virtual bool is_connected() const = 0;
};

}  // namespace tidegate
