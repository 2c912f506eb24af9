#include "base/net/http_connection.h"

#include <boost/asio/buffer.hpp>
#include <netinet/tcp.h>

#include "base/net/chunk_decoder.h"
#include "base/net/response_head.h"

namespace tidegate {

namespace {

constexpr std::size_t kReadBytes = 4 * 1024;        ///< least room offered to a read
constexpr std::size_t kBodyReadBytes = 64 * 1024;   ///< the same for a body, and what is kept between requests
constexpr std::size_t kChunkedReadBytes = 16 * 1024;
constexpr int kUnsentBytesMax = 128 * 1024;         ///< what the kernel queues before a write has to wait

Error late_error(bool in_body, bool is_slow = false) {
  if (is_slow) {
    return Error(Code::kDeadlineExceeded, "body_timeout", "the request body arrives slower than the least rate allowed");
  }
  return in_body ? Error(Code::kDeadlineExceeded, "body_timeout", "the request body did not arrive in time")
                 : Error(Code::kDeadlineExceeded, "header_timeout", "the request head did not arrive in time");
}
/// The client left before its request was complete: nobody to answer.
Error ended_error() { return Error(Code::kCancelled, "client_gone", "the client closed the connection"); }

}  // namespace

HttpConnection::HttpConnection(asio::ip::tcp::socket socket, std::string address, HttpLane& lane,
                               std::shared_ptr<HttpCore> core)
    : socket_(std::move(socket)),
      lane_(lane),
      core_(std::move(core)),
      wake_timer_(lane.executor, Mono::max()),
      remote_address_(std::move(address)) {
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  // Without it a slow reader lets the kernel queue megabytes before back-pressure is felt.
  const int unsent = kUnsentBytesMax;
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
  if (lane_.tls) tls_ = std::make_unique<TlsSession>(*lane_.tls, socket_.native_handle());
  lane_.connections.insert(this);
  core_->metrics.connections_open->add(1);
}

HttpConnection::~HttpConnection() {
  lane_.connections.erase(this);
  core_->metrics.connections_open->add(-1);
  core_->addresses.leave(remote_address_);
  if (core_->open.fetch_sub(1) == 1) {
    const std::lock_guard lock(core_->mutex);
    core_->all_closed.notify_all();
  }
}

awaitable<void> HttpConnection::serve() {
  if (tls_) {
    const bool is_open = co_await shake_hands();
    if (!is_open) {
      close();
      co_return;
    }
  }
  while (true) {
    set_phase(Phase::kIdle);
    answer_ = Answer::kNone;
    status_ = 0;
    if (auto status = co_await read_request(); !status) {
      if (!is_cut_ && status.error().reason != "client_gone") co_await refuse(std::move(status).error());
      break;
    }
    set_phase(Phase::kHandling);
    co_await handle();
    if (!keep_alive_ || is_ended_ || is_cut_) break;
    in_.consume(used_bytes_);
    body_.clear();
    body_.shrink(kBodyReadBytes);
    in_.shrink(kReadBytes);
  }
  co_await linger();
  close();
}

awaitable<void> HttpConnection::turn_away() {
  core_->metrics.count_refusal("too_many_connections");
  const Error error(Code::kUnavailable, "too_many_connections", "this gateway holds too many connections; try again");
  HttpResponse response = error_response(error, 503);
  response.headers.emplace_back("Retry-After", "1");
  keep_alive_ = false;
  if (tls_) {  // a handshake costs more than the answer is worth
    cut();
    co_return;
  }
  set_phase(Phase::kLinger);
  const Status ignored = co_await respond(std::move(response));
  co_await linger();
  close();
}

HttpResponse HttpConnection::error_response(const Error& error, int status) const {
  const HttpServerOptions& options = core_->options;
  HttpResponse response(status, options.render_error(error, status));
  if (options.error_headers) response.headers = options.error_headers(error, status);
  return response;
}

awaitable<Status> HttpConnection::read_request() {
  request_.head.method = {};  // of the request before, whose bytes are gone
  std::size_t searched = 0;
  std::optional<std::size_t> end;
  if (in_.size() > 0) begin_head();
  while (!(end = find_head_end(in_.data().substr(0, kHeadBytesMax), searched))) {
    if (in_.size() >= kHeadBytesMax) {
      co_return fail(Code::kInvalidArgument, "headers_too_large", "request line and headers exceed 16 KiB");
    }
    if (!co_await read_more(in_, kReadBytes)) {
      if (is_late_ && phase_ == Phase::kHead) co_return fail(late_error(false));
      co_return fail(ended_error());
    }
  }
  if (is_reading_) co_await stop_reading();  // only after pipelining: the head was complete before that read ended
  head_bytes_ = *end;
  // Room for the next request's first bytes, so that the read pending while the handler runs moves nothing.
  in_.reserve_tail(kReadBytes / 4);
  TG_CO_TRY(parse_head(in_.data().substr(0, head_bytes_), request_.head));
  TG_CO_ASSIGN(framing_, check_framing(request_.head, lane_.limits.body_bytes, core_->options.media_types));
  if (framing_.body == Framing::Body::kChunked && in_.tail_room() < kChunkedReadBytes) {
    in_.reserve_tail(kChunkedReadBytes);
    TG_CO_TRY(parse_head(in_.data().substr(0, head_bytes_), request_.head));
  }
  ++requests_;
  const std::int64_t requests_max = lane_.limits.requests_per_connection;
  keep_alive_ = framing_.keep_alive && !lane_.is_draining && (requests_max == 0 || requests_ < requests_max);
  used_bytes_ = head_bytes_;
  if (framing_.body != Framing::Body::kNone) {
    set_phase(Phase::kBody);
    if (framing_.expects_continue && in_.size() == head_bytes_) {
      TG_CO_TRY(co_await send("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    if (framing_.body == Framing::Body::kSized) {
      take_body_here(framing_.content_length);
      if (body_.size() < framing_.content_length) {
        TG_CO_TRY(co_await read_sized_body(framing_.content_length));
      }
    } else {
      TG_CO_TRY(co_await read_chunked_body());
    }
  }
  const std::string_view target = request_.head.target;
  const auto mark = target.find('?');
  request_.method = request_.head.method;
  request_.path = target.substr(0, mark);
  request_.query = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  request_.body = body_.data();
  request_.remote_address = remote_address_;
  co_return Status();
}

void HttpConnection::take_body_here(std::uint64_t length) {
  const std::string_view here = in_.data().substr(head_bytes_).substr(0, length);
  body_.append(here);
  used_bytes_ += here.size();
}

awaitable<Status> HttpConnection::read_sized_body(std::uint64_t length) {
  while (body_.size() < length) {
    // Memory follows what really arrived: a length alone reserves nothing.
    const std::size_t missing = static_cast<std::size_t>(length) - body_.size();
    if (!co_await read_more(body_, std::min(missing, kBodyReadBytes), missing)) {
      co_return fail(is_late_ ? late_error(true, is_slow_) : ended_error());
    }
  }
  co_return Status();
}

awaitable<Status> HttpConnection::read_chunked_body() {
  ChunkDecoder decoder(lane_.limits.body_bytes);
  while (true) {
    const std::string_view here = in_.data().substr(head_bytes_);
    TG_CO_ASSIGN(const std::size_t used, decoder.feed(here, body_));
    if (decoder.is_done()) {
      used_bytes_ += used;
      co_return Status();
    }
    in_.truncate(head_bytes_);  // everything was used; the head stays where its views point
    if (!co_await read_more(in_, 1)) co_return fail(is_late_ ? late_error(true, is_slow_) : ended_error());
  }
}

awaitable<void> HttpConnection::handle() {
  if (!is_reading_ && !is_ended_ && in_.tail_room() > 0) arm_read(in_, in_.tail_room());
  HttpExchange exchange(*this);
  try {
    co_await core_->handler(exchange);
  } catch (const std::exception& error) {
    core_->log.error("http_handler_threw", {kv("what", error.what()), kv("path", request_.path)});
  }
  gone_callback_ = nullptr;
  if (answer_ == Answer::kNone && !is_gone_) {
    const Error error(Code::kInternal, "no_answer", "the request failed inside the service");
    HttpResponse response = error_response(error, 500);
    const Status ignored = co_await respond(std::move(response));
  }
  if (status_ == 0) core_->metrics.count_request(0);
  // A chunked answer without its end must not look complete.
  if (answer_ == Answer::kStreaming) cut();
}

awaitable<void> HttpConnection::refuse(Error error) {
  core_->metrics.count_refusal(error.reason);
  const int status = refusal_status(error);
  HttpResponse response = error_response(error, status);
  if (status == 405) response.headers.emplace_back("Allow", "GET, POST, PUT, PATCH, DELETE, OPTIONS");
  keep_alive_ = false;  // where the next request would start is anybody's guess
  const Status ignored = co_await respond(std::move(response));
}

}  // namespace tidegate
