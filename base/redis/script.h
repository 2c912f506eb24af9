#pragma once

#include <string>
#include <string_view>

#include "base/redis/redis.h"

namespace tidegate {

/// One Lua script: one atomic step on the server. Runs by digest (EVALSHA); a server that lost its script cache
/// (restart, SCRIPT FLUSH) gets the source again, once per call. Belongs to the executor of its Redis.
class Script {
 public:
  /// `source` is a literal beside the code that uses it.
  explicit Script(std::string_view source) : source_(source) {}

  /// KEYS and ARGV. Fails as Redis::command(). Not retried when its outcome is unknown.
  awaitable<Result<RedisReply>> run(Redis& redis, RedisArgs keys, RedisArgs arguments, Deadline deadline);

  std::string_view source() const { return source_; }

 private:
  awaitable<Status> load(Redis& redis, Deadline deadline);
  std::string_view source_;
  std::string digest_;  ///< as the server named it; "" before the first use
};

}  // namespace tidegate
