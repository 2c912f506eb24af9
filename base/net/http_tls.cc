// HttpConnection: TLS.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

#include "base/net/http_connection.h"

namespace tidegate {

namespace {
using Socket = asio::ip::tcp::socket;

Socket::wait_type wait_of(TlsSession::Next next) {
  return next == TlsSession::Next::kWantWrite ? Socket::wait_write : Socket::wait_read;
}
}  // namespace

awaitable<bool> HttpConnection::shake_hands() {
  // Each one is a signature's worth of this thread's time: a flood of them must not pile up behind the first.
  is_shaking_ = true;
  if (core_->handshakes.fetch_add(1) >= lane_.limits.handshakes) {
    core_->metrics.count_refusal("too_many_handshakes");
    leave_handshake("turned_away");
    cut();
    co_return false;
  }
  set_phase(Phase::kHandshake);
  while (!is_ended_ && !is_late_) {
    const TlsSession::Outcome outcome = tls_->handshake();
    if (outcome.next == TlsSession::Next::kDone) {
      leave_handshake(tls_->is_resumed() ? "resumed" : "full");
      co_return true;
    }
    if (outcome.next == TlsSession::Next::kEnd || outcome.next == TlsSession::Next::kFailed) {
      leave_handshake(outcome.next == TlsSession::Next::kEnd ? "left" : "failed");
      core_->log.debug("http_tls_handshake_failed", {kv("peer", remote_address_), kv("why", tls_->why())});
      co_return false;
    }
    is_reading_ = true;
    socket_.async_wait(wait_of(outcome.next), [self = shared_from_this()](const boost::system::error_code&) {
      self->is_reading_ = false;
      self->wake();
    });
    while (is_reading_ && !is_ended_ && !is_late_) co_await wait_for_wake();
  }
  leave_handshake(is_late_ ? "timeout" : "left");
  co_return false;
}

void HttpConnection::leave_handshake(std::string_view result) {
  if (!is_shaking_) return;
  is_shaking_ = false;
  core_->handshakes.fetch_sub(1);
  core_->metrics.count_handshake(result);
}

void HttpConnection::arm_tls_read(ByteBuffer& into, std::size_t most) {
  const auto again = [self = shared_from_this(), &into, most](const boost::system::error_code& error) {
    self->on_tls_readable(into, most, error);
  };
  // Never from here into on_read(): bytes that wait inside would turn every read into a deeper call.
  if (tls_->has_buffered()) {
    asio::post(lane_.executor, [again] { again(boost::system::error_code()); });
  } else {
    socket_.async_wait(Socket::wait_read, again);
  }
}

void HttpConnection::on_tls_readable(ByteBuffer& into, std::size_t most, const boost::system::error_code& error) {
  if (error || is_cut_ || phase_ == Phase::kClosed) {
    const boost::system::error_code stopped = asio::error::operation_aborted;
    on_read(into, error ? error : stopped, 0);
    return;
  }
  const TlsSession::Outcome outcome = tls_->read(into.tail(), std::min(most, into.tail_room()));
  switch (outcome.next) {
    case TlsSession::Next::kDone: on_read(into, boost::system::error_code(), outcome.bytes); return;
    case TlsSession::Next::kWantRead:
    case TlsSession::Next::kWantWrite:
      // A record that is not complete yet, or a message of the protocol's own. What it has of it stays inside.
      if (is_stopping_read_) {
        on_read(into, asio::error::operation_aborted, 0);
        return;
      }
      socket_.async_wait(wait_of(outcome.next),
                         [self = shared_from_this(), &into, most](const boost::system::error_code& failed) {
                           self->on_tls_readable(into, most, failed);
                         });
      return;
    case TlsSession::Next::kEnd: on_read(into, asio::error::eof, 0); return;
    case TlsSession::Next::kFailed: on_read(into, asio::error::connection_reset, 0); return;
  }
}

awaitable<void> HttpConnection::say_goodbye() {
  write_deadline_ = core_->clock.mono() + lane_.limits.linger;
  unacked_bytes_ = 0;  // no progress lengthens this
  while (!is_cut_) {
    const TlsSession::Outcome outcome = tls_->say_goodbye();
    if (outcome.next != TlsSession::Next::kWantWrite) break;
    co_await socket_.async_wait(Socket::wait_write, asio::as_tuple(asio::use_awaitable));
  }
  write_deadline_ = Mono::max();
}

}  // namespace tidegate
