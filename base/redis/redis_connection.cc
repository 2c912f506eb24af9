#include "base/redis/redis_connection.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/write.hpp>

#include "base/net/quiet.h"
#include "base/net/timer.h"

namespace tidegate {

namespace {
constexpr std::size_t kReadBytes = 16 * 1024;
}  // namespace

RedisConnection::RedisConnection(Socket socket, std::size_t in_flight_max)
    : socket_(std::move(socket)), in_flight_max_(in_flight_max), closed_(socket_.get_executor()) {}

void RedisConnection::start() {
  const auto life = [](std::shared_ptr<RedisConnection> self) -> awaitable<void> { co_await self->read_replies(); };
  asio::co_spawn(socket_.get_executor(), life(shared_from_this()), abort_on_throw);
}

awaitable<Result<RedisReply>> RedisConnection::command(RedisArgs args, Deadline deadline) {
  const auto self = shared_from_this();
  if (!is_open_) co_return fail(Code::kUnavailable, "redis_down", "no connection to Redis: " + why_closed_);
  if (in_flight_.size() >= in_flight_max_) {
    co_return fail(Code::kResourceExhausted, "redis_full",
                   std::to_string(in_flight_max_) + " commands are in flight already");
  }
  const auto pending = std::make_shared<Pending>(socket_.get_executor());
  pending->timer.expires_at(deadline.instant());
  append_command(unsent_, args);
  in_flight_.push_back(pending);
  flush();
  co_await pending->timer.async_wait(kQuiet);
  if (!pending->reply) {
    // Late or cancelled. The reply may still come: on a closed connection nobody can mistake it for theirs.
    close("a command was given up");
    co_return fail(Code::kDeadlineExceeded, "redis_timeout", "Redis did not answer in time");
  }
  co_return *std::move(pending->reply);
}

void RedisConnection::flush() {
  if (!sending_.empty() || unsent_.empty() || !is_open_) return;
  // Commands issued while a write is in progress gather in unsent_ and leave together: that is the pipelining.
  sending_.swap(unsent_);
  asio::async_write(socket_, asio::buffer(sending_),
                    [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
                      self->sending_.clear();
                      if (error) {
                        self->close("sending failed: " + error.message());
                      } else {
                        self->flush();
                      }
                    });
}

awaitable<void> RedisConnection::read_replies() {
  char piece[kReadBytes];
  while (is_open_) {
    const auto [error, bytes] = co_await socket_.async_read_some(asio::buffer(piece), kQuiet);
    if (error) {
      close(error == asio::error::eof ? "Redis closed the connection" : "receiving failed: " + error.message());
      co_return;
    }
    reader_.feed(std::string_view(piece, bytes));
    while (auto reply = reader_.next()) {
      if (in_flight_.empty()) {
        close("Redis sent a reply nobody asked for");
        co_return;
      }
      const auto pending = std::move(in_flight_.front());
      in_flight_.pop_front();
      pending->reply = std::move(*reply);
      pending->timer.cancel();
    }
    if (reader_.is_broken()) close("Redis broke the protocol");
  }
}

void RedisConnection::close(std::string why) {
  if (!is_open_) return;
  is_open_ = false;
  why_closed_ = std::move(why);
  boost::system::error_code ignored;
  socket_.close(ignored);
  for (const auto& pending : in_flight_) {
    if (pending->reply) continue;
    // Overwritten by the giving-up command itself, which closes before it returns its own error.
    pending->reply = fail(Code::kUnavailable, "redis_lost", "the connection to Redis broke: " + why_closed_);
    pending->timer.cancel();
  }
  in_flight_.clear();
  closed_.set();
}

}  // namespace tidegate
