#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/net/signal.h"
#include "base/redis/resp.h"

namespace tidegate {

/// One socket to Redis and the commands in flight on it. Dies with its first failure: a new attempt is a new object,
/// so nothing of an old conversation can leak into the next. Runs on one single-threaded executor.
class RedisConnection : public std::enable_shared_from_this<RedisConnection> {
 public:
  using Socket = asio::generic::stream_protocol::socket;
  // shared_ptr: callers, the reader and the writer each may be the last to let go.
  RedisConnection(Socket socket, std::size_t in_flight_max);

  /// Starts reading. Once.
  void start();
  /// Sends and waits. Fails as Redis::command().
  awaitable<Result<RedisReply>> command(RedisArgs args, Deadline deadline);
  /// Ends every command in flight with unavailable/redis_lost.
  void close(std::string why);
  bool is_open() const { return is_open_; }
  Event& closed() { return closed_; }
  const std::string& why_closed() const { return why_closed_; }
  std::size_t in_flight() const { return in_flight_.size(); }

 private:
  struct Pending {
    explicit Pending(const Executor& executor) : timer(executor) {}
    asio::steady_timer timer;  ///< expires at the deadline; cancelled by the reply
    std::optional<Result<RedisReply>> reply;
  };

  awaitable<void> read_replies();
  void flush();

  Socket socket_;
  const std::size_t in_flight_max_;
  RespReader reader_;
  std::deque<std::shared_ptr<Pending>> in_flight_;  ///< shared with the waiting command, which may give up first
  std::string unsent_;   ///< commands of this turn of the event loop
  std::string sending_;  ///< bytes of the write in progress
  bool is_open_ = true;
  Event closed_;
  std::string why_closed_;
};

}  // namespace tidegate
