#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/redis/redis.h"

namespace tidegate {

/// Appends a command in the wire format.
void append_command(std::string& out, const RedisArgs& args);

/// Incremental reader of replies, on hiredis' own parser.
class RespReader {
 public:
  RespReader();
  ~RespReader();
  RespReader(const RespReader&) = delete;
  RespReader& operator=(const RespReader&) = delete;

  void feed(std::string_view bytes);
  /// The next complete reply: a value, or the server's error as Error. nullopt when more bytes are needed.
  /// A protocol violation sets is_broken(): the connection must be closed.
  std::optional<Result<RedisReply>> next();
  bool is_broken() const { return is_broken_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  bool is_broken_ = false;
};

}  // namespace tidegate
