#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/net/byte_buffer.h"
#include "base/net/http_core.h"
#include "base/net/response_head.h"
#include "base/net/strict_gate.h"
#include "base/net/tls_session.h"

namespace tidegate {

/// One client connection. Everything runs on its lane's thread.
///
/// serve() is the only coroutine. Reading is a callback beside it: at most one read is pending at any time, also
/// while a handler runs, so that a FIN or RST is seen at once and bytes of the next request land in `in_`. Time limits
/// are fields that HttpLane's sweep compares with the clock. With TLS the same waits carry other bytes: `tls_` sits
/// between the socket and the two places that read and write, and a plain connection pays one null test at each.
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  // shared_ptr: the coroutine, a pending read and a pending sweep each may be the last to hold the connection.
  /// `address` is the peer's as HttpCore::addresses counted it; empty when the peer was gone by then.
  HttpConnection(asio::ip::tcp::socket socket, std::string address, HttpLane& lane, std::shared_ptr<HttpCore> core);
  ~HttpConnection();

  /// Life of the connection: requests until one side ends it.
  awaitable<void> serve();
  /// For a connection above the limit: one 503 and the end.
  awaitable<void> turn_away();

  /// From the lane's sweep.
  void check_time(Mono now);
  /// No further request; closes now when idle.
  void begin_drain();
  /// Ends it now, whatever it does.
  void cut();

  // The exchange's side.
  awaitable<Status> respond(HttpResponse response);
  void begin_stream(int status, std::string_view content_type, const HttpHeaders& headers);
  awaitable<Status> write(std::string_view chunk);
  HttpExchange::Written write_now(std::string_view chunk);
  awaitable<Status> end_stream(std::string_view last);
  void on_gone(std::function<void()> callback);
  bool is_gone() const { return is_gone_; }
  const HttpRequest& request() const { return request_; }
  HttpLane& lane() { return lane_; }
  int status() const { return status_; }

 private:
  enum class Phase : std::uint8_t { kHandshake, kIdle, kHead, kBody, kHandling, kLinger, kClosed };
  enum class Answer : std::uint8_t { kNone, kStreaming, kDone };

  // Requests (http_connection.cc).
  awaitable<Status> read_request();
  /// What came with the head of a body of `length`.
  void take_body_here(std::uint64_t length);
  /// The rest of it.
  awaitable<Status> read_sized_body(std::uint64_t length);
  awaitable<Status> read_chunked_body();
  HttpResponse error_response(const Error& error, int status) const;
  awaitable<void> handle();
  awaitable<void> refuse(Error error);

  // TLS (http_tls.cc).
  /// True once bytes can be exchanged; false: the client is to be left without a word.
  awaitable<bool> shake_hands();
  /// Counts the end of the handshake, however it came.
  void leave_handshake(std::string_view result);
  void arm_tls_read(ByteBuffer& into, std::size_t most);
  void on_tls_readable(ByteBuffer& into, std::size_t most, const boost::system::error_code& error);
  awaitable<void> say_goodbye();

  // Bytes in, time and the end (http_reading.cc).
  /// Waits for at least one byte in `into`, offering `room` bytes of space and taking at most `most`.
  /// False at the end of the stream, a time limit or a cut.
  awaitable<bool> read_more(ByteBuffer& into, std::size_t room, std::size_t most = SIZE_MAX);
  /// Cancels the pending read; bytes it already took are kept.
  awaitable<void> stop_reading();
  void arm_read(ByteBuffer& into, std::size_t most);
  void on_read(ByteBuffer& into, const boost::system::error_code& error, std::size_t bytes);
  awaitable<void> wait_for_wake();
  void wake();
  void begin_head();
  /// Bytes the client's side has not acknowledged yet.
  int count_unacked();
  bool is_body_too_slow(Mono now) const;
  /// Sends FIN and discards what still comes, so that the answer is not lost to an RST.
  awaitable<void> linger();
  void set_phase(Phase phase);
  void mark_gone();
  void close();

  // Writing (http_exchange.cc).
  void append_head(int status, std::string_view content_type, const HttpHeaders& headers, BodyLength length);
  void append_chunk(std::string& out, std::string_view chunk) const;
  /// Everything of out_ is sent.
  void empty_out();
  /// What the kernel takes of `bytes` at once, counted in `sent`.
  HttpExchange::Written send_now(std::string_view bytes, std::size_t& sent);
  awaitable<Status> send(std::string_view bytes);
  /// The client is gone: a write said so.
  void on_write_failed();
  /// What the kernel takes at once; `wait` is what to wait for when it takes nothing (error: would_block).
  std::size_t write_some(std::string_view bytes, asio::ip::tcp::socket::wait_type& wait, boost::system::error_code& error);

  asio::ip::tcp::socket socket_;
  HttpLane& lane_;
  const std::shared_ptr<HttpCore> core_;
  asio::steady_timer wake_timer_;  ///< never fires; cancelling it wakes serve()
  std::string remote_address_;
  std::unique_ptr<TlsSession> tls_;  ///< null: plain

  ByteBuffer in_;    ///< head of the current request, and bytes of later ones
  ByteBuffer body_;  ///< body of the current request
  std::string out_;
  std::size_t head_bytes_ = 0;  ///< of the current request, at the front of in_
  std::size_t used_bytes_ = 0;  ///< of in_, by the current request
  Framing framing_;
  HttpRequest request_;
  std::function<void()> gone_callback_;

  std::int64_t requests_ = 0;  ///< begun on this connection
  Mono body_began_{};

  Phase phase_ = Phase::kIdle;
  Answer answer_ = Answer::kNone;
  int status_ = 0;
  Mono deadline_ = Mono::max();        ///< of the phase
  Mono write_deadline_ = Mono::max();  ///< of a write the client does not take
  int unacked_bytes_ = 0;              ///< when write_deadline_ was set
  bool is_waiting_ = false;            ///< serve() sits in wait_for_wake()
  bool is_reading_ = false;            ///< a read is pending
  bool is_stopping_read_ = false;      ///< it must end with what it has
  bool is_ended_ = false;              ///< FIN, RST or read error seen
  bool is_late_ = false;               ///< deadline_ passed
  bool is_slow_ = false;               ///< late because of the least rate of a body
  bool is_shaking_ = false;            ///< counted in HttpCore::handshakes
  bool is_gone_ = false;
  bool is_cut_ = false;
  bool is_stalled_ = false;  ///< cut because of write_deadline_
  bool keep_alive_ = true;
  bool until_close_ = false;  ///< streaming to an HTTP/1.0 client
};

}  // namespace tidegate
