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

namespace tidegate {

/// One client connection. Everything runs on its lane's thread.
///
/// serve() is the only coroutine. Reading is a callback beside it: at most one read is pending at any time, also
/// while a handler runs, so that a FIN or RST is seen at once and bytes of the next request land in `in_` (TLS will
/// need the same shape, since it cannot peek). Time limits are fields that HttpLane's sweep compares with the clock.
class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  // shared_ptr: the coroutine, a pending read and a pending sweep each may be the last to hold the connection.
  HttpConnection(asio::ip::tcp::socket socket, HttpLane& lane, std::shared_ptr<HttpCore> core);
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
  awaitable<Status> end_stream(std::string_view last);
  void on_gone(std::function<void()> callback);
  bool is_gone() const { return is_gone_; }
  const HttpRequest& request() const { return request_; }
  HttpLane& lane() { return lane_; }
  int status() const { return status_; }

 private:
  enum class Phase : std::uint8_t { kIdle, kHead, kBody, kHandling, kLinger, kClosed };
  enum class Answer : std::uint8_t { kNone, kStreaming, kDone };

  // Requests (http_connection.cc).
  awaitable<Status> read_request();
  awaitable<Status> read_sized_body(std::uint64_t length);
  awaitable<Status> read_chunked_body();
  HttpResponse error_response(const Error& error, int status) const;
  awaitable<void> handle();
  awaitable<void> refuse(Error error);

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
  /// Sends FIN and discards what still comes, so that the answer is not lost to an RST.
  awaitable<void> linger();
  void set_phase(Phase phase);
  void mark_gone();
  void close();

  // Writing (http_exchange.cc).
  void append_head(int status, std::string_view content_type, const HttpHeaders& headers, BodyLength length);
  void append_chunk(std::string_view chunk);
  awaitable<Status> send(std::string_view bytes);

  asio::ip::tcp::socket socket_;
  HttpLane& lane_;
  const std::shared_ptr<HttpCore> core_;
  asio::steady_timer wake_timer_;  ///< never fires; cancelling it wakes serve()
  std::string remote_address_;

  ByteBuffer in_;    ///< head of the current request, and bytes of later ones
  ByteBuffer body_;  ///< body of the current request
  std::string out_;
  std::size_t head_bytes_ = 0;  ///< of the current request, at the front of in_
  std::size_t used_bytes_ = 0;  ///< of in_, by the current request
  Framing framing_;
  HttpRequest request_;
  std::function<void()> gone_callback_;

  Phase phase_ = Phase::kIdle;
  Answer answer_ = Answer::kNone;
  int status_ = 0;
  Mono deadline_ = Mono::max();        ///< of the phase
  Mono write_deadline_ = Mono::max();  ///< of a write the client does not take
  int unacked_bytes_ = 0;              ///< when write_deadline_ was set
  bool is_waiting_ = false;            ///< serve() sits in wait_for_wake()
  bool is_reading_ = false;            ///< a read is pending
  bool is_ended_ = false;              ///< FIN, RST or read error seen
  bool is_late_ = false;               ///< deadline_ passed
  bool is_gone_ = false;
  bool is_cut_ = false;
  bool is_stalled_ = false;  ///< cut because of write_deadline_
  bool keep_alive_ = true;
  bool until_close_ = false;  ///< streaming to an HTTP/1.0 client
};

}  // namespace tidegate
