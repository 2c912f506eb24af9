// HttpConnection: bytes in, time limits, the end of a connection.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/net/http_connection.h"

namespace tidegate {

namespace {
constexpr std::chrono::seconds kBodyGrace{5};
}  // namespace

awaitable<bool> HttpConnection::read_more(ByteBuffer& into, std::size_t room, std::size_t most) {
  const std::size_t before = into.size();
  if (!is_reading_ && !is_ended_) {
    into.reserve_tail(room);
    arm_read(into, most);
  }
  while (into.size() == before && !is_ended_ && !is_late_) co_await wait_for_wake();
  co_return into.size() > before;
}

void HttpConnection::arm_read(ByteBuffer& into, std::size_t most) {
  is_reading_ = true;
  into.pin(true);
  if (tls_) return arm_tls_read(into, most);
  socket_.async_read_some(asio::buffer(into.tail(), std::min(most, into.tail_room())),
                          [self = shared_from_this(), &into](const boost::system::error_code& error, std::size_t bytes) {
                            self->on_read(into, error, bytes);
                          });
}

void HttpConnection::on_read(ByteBuffer& into, const boost::system::error_code& error, std::size_t bytes) {
  is_reading_ = false;
  into.pin(false);
  if (!error) {
    into.commit(bytes);
    if (phase_ == Phase::kIdle) begin_head();
    // Pipelined bytes; when the room is full they wait in the kernel until this request is done.
    if (phase_ == Phase::kHandling && into.tail_room() > 0) arm_read(into, into.tail_room());
  } else if (error != asio::error::operation_aborted) {
    is_ended_ = true;
    if (phase_ == Phase::kHandling) mark_gone();
  }
  wake();
}

awaitable<void> HttpConnection::stop_reading() {
  is_stopping_read_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
  while (is_reading_) co_await wait_for_wake();
  is_stopping_read_ = false;
}

awaitable<void> HttpConnection::wait_for_wake() {
  is_waiting_ = true;
  co_await wake_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  is_waiting_ = false;
}

void HttpConnection::wake() {
  if (is_waiting_) wake_timer_.cancel();
}

void HttpConnection::begin_head() {
  set_phase(Phase::kHead);
  request_.received = core_->clock.mono();
}

void HttpConnection::set_phase(Phase phase) {
  phase_ = phase;
  is_late_ = is_slow_ = false;
  const HttpLimits& limits = lane_.limits;
  const auto in = [this](std::chrono::milliseconds span) { return core_->clock.mono() + span; };
  switch (phase) {
    case Phase::kHandshake: deadline_ = in(limits.handshake); break;
    case Phase::kIdle: deadline_ = in(limits.idle); break;
    case Phase::kHead: deadline_ = in(limits.header); break;
    case Phase::kBody:
      body_began_ = core_->clock.mono();
      deadline_ = in(limits.body);
      break;
    case Phase::kLinger: deadline_ = in(limits.linger); break;
    case Phase::kHandling:  // bounded by the handler's own deadlines and the write limit
    case Phase::kClosed: deadline_ = Mono::max(); break;
  }
}

void HttpConnection::check_time(Mono now) {
  if (now >= write_deadline_) {
    // The socket turns writable only after tens of kilobytes left: a slow client that took some is not a stalled one.
    if (const int unacked = count_unacked(); unacked < unacked_bytes_) {
      unacked_bytes_ = unacked;
      write_deadline_ = now + lane_.limits.write_stall;
      return;
    }
    is_stalled_ = true;
    cut();
    return;
  }
  if (phase_ == Phase::kBody && is_body_too_slow(now)) {
    is_slow_ = true;
  } else if (now < deadline_) {
    return;
  }
  deadline_ = Mono::max();
  is_late_ = true;
  wake();
}

/// After a time of grace: the clients' networks take a moment to get going.
bool HttpConnection::is_body_too_slow(Mono now) const {
  const std::int64_t least = lane_.limits.body_bytes_per_second;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - body_began_);
  if (least == 0 || seconds < kBodyGrace) return false;
  // Chunked bytes pass through in_ at once, so body_ holds what arrived either way.
  return static_cast<std::int64_t>(body_.size()) < least * static_cast<std::int64_t>(seconds.count());
}

int HttpConnection::count_unacked() {
  int bytes = 0;
  return ::ioctl(socket_.native_handle(), SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

void HttpConnection::begin_drain() {
  keep_alive_ = false;
  if (phase_ != Phase::kIdle && phase_ != Phase::kHandshake) return;
  is_ended_ = true;
  wake();
}

void HttpConnection::mark_gone() {
  if (is_gone_) return;
  is_gone_ = true;
  if (auto callback = std::exchange(gone_callback_, nullptr)) callback();
}

void HttpConnection::on_gone(std::function<void()> callback) {
  if (is_gone_) {
    callback();
  } else {
    gone_callback_ = std::move(callback);
  }
}

void HttpConnection::cut() {
  if (phase_ == Phase::kClosed) return;
  is_cut_ = is_ended_ = true;
  boost::system::error_code ignored;
  // RST, not FIN: a client must not take a cut answer for a complete one.
  if (tls_) tls_->detach();
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  mark_gone();
  wake();
}

awaitable<void> HttpConnection::linger() {
  if (is_ended_) co_return;
  if (tls_) co_await say_goodbye();
  if (is_ended_) co_return;
  boost::system::error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  set_phase(Phase::kLinger);
  in_.clear();
  while (co_await read_more(in_, 1)) in_.clear();
}

void HttpConnection::close() {
  set_phase(Phase::kClosed);
  if (tls_) {
    if (!is_cut_) tls_->say_goodbye();  // what an idle connection of a drain is still owed; if it does not fit, too late
    tls_->detach();
  }
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace tidegate
