// The answering side: HttpExchange, and how HttpConnection writes.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>

#include "base/core/check.h"
#include "base/core/log.h"
#include "base/net/http_connection.h"
#include "base/net/response_head.h"

namespace tidegate {

namespace {
/// Up to here a body is copied behind its head, so that both leave in one segment.
constexpr std::size_t kCopiedBodyBytesMax = 64 * 1024;
/// A buffer that once held a large chunk is not kept.
constexpr std::size_t kKeptBufferBytesMax = 256 * 1024;
}  // namespace

const HttpRequest& HttpExchange::request() const { return connection_.request(); }
Executor HttpExchange::executor() const { return connection_.lane().executor; }
std::size_t HttpExchange::lane() const { return connection_.lane().index; }
awaitable<Status> HttpExchange::respond(HttpResponse response) {
  // Without a tap the connection's own coroutine is handed out: no frame of ours per write.
  if (tap_ == nullptr) return connection_.respond(std::move(response));
  return respond_tapped(std::move(response));
}
void HttpExchange::begin_stream(int status, std::string content_type, HttpHeaders headers) {
  if (tap_ != nullptr) tap_->on_head(status, content_type, headers, /*is_stream=*/true);
  connection_.begin_stream(status, content_type, headers);
}
awaitable<Status> HttpExchange::write(std::string_view chunk) {
  if (tap_ == nullptr) return connection_.write(chunk);
  return write_tapped(chunk);
}
HttpExchange::Written HttpExchange::write_now(std::string_view chunk) {
  TG_CHECK(can_write_now());
  return connection_.write_now(chunk);
}
awaitable<Status> HttpExchange::end_stream(std::string_view last) {
  if (tap_ == nullptr) return connection_.end_stream(last);
  return end_tapped(last);
}
bool HttpExchange::is_client_gone() const { return connection_.is_gone() && !hides_leaving(); }
void HttpExchange::on_gone(std::function<void()> callback) {
  if (!hides_leaving()) connection_.on_gone(std::move(callback));
}

awaitable<Status> HttpExchange::respond_tapped(HttpResponse response) {
  tap_->on_head(response.status, response.content_type, response.headers, /*is_stream=*/false);
  tap_->on_body(response.body);
  co_await tap_->on_end();
  Status sent = co_await connection_.respond(std::move(response));
  if (!sent && hides_leaving()) sent = Status();
  co_return sent;
}

awaitable<Status> HttpExchange::write_tapped(std::string_view chunk) {
  tap_->on_body(chunk);
  Status sent = co_await connection_.write(chunk);
  if (!sent && hides_leaving()) sent = Status();
  co_return sent;
}

awaitable<Status> HttpExchange::end_tapped(std::string_view last) {
  tap_->on_body(last);
  co_await tap_->on_end();
  Status sent = co_await connection_.end_stream(last);
  if (!sent && hides_leaving()) sent = Status();
  co_return sent;
}

int HttpExchange::status() const { return connection_.status(); }

std::string render_plain_error(const Error& error, int) {
  std::string body = R"({"error":{"code":)";
  append_json_string(body, code_name(error.code));
  body += ",\"reason\":";
  append_json_string(body, error.reason);
  body += ",\"message\":";
  append_json_string(body, error.message);
  if (!error.field.empty()) {
    body += ",\"field\":";
    append_json_string(body, error.field);
  }
  return body += "}}";
}

void HttpConnection::append_head(int status, std::string_view content_type, const HttpHeaders& headers,
                                 BodyLength length) {
  status_ = status;
  core_->metrics.count_request(status);
  out_.clear();
  append_response_head(out_, status, content_type, headers, length, !keep_alive_,
                       lane_.date_line(core_->clock.wall()));
}

awaitable<Status> HttpConnection::respond(HttpResponse response) {
  TG_CHECK(answer_ == Answer::kNone);
  answer_ = Answer::kDone;
  if (response.close || lane_.is_draining) keep_alive_ = false;
  append_head(response.status, response.content_type, response.headers, BodyLength::sized(response.body.size()));
  // RFC 9110: HEAD is told the length that another method would get, and nothing follows.
  if (request_.head.method == "HEAD") co_return co_await send(out_);
  if (response.body.size() <= kCopiedBodyBytesMax) {
    out_ += response.body;
    // Mostly the kernel takes it all, and then it needs no coroutine more.
    std::size_t sent = 0;
    if (send_now(out_, sent) == HttpExchange::Written::kAll) co_return Status();
    co_return co_await send(std::string_view(out_).substr(sent));
  }
  TG_CO_TRY(co_await send(out_));
  co_return co_await send(response.body);
}

void HttpConnection::begin_stream(int status, std::string_view content_type, const HttpHeaders& headers) {
  TG_CHECK(answer_ == Answer::kNone);
  answer_ = Answer::kStreaming;
  until_close_ = request_.head.version_minor == 0;
  if (until_close_ || lane_.is_draining) keep_alive_ = false;
  append_head(status, content_type, headers, until_close_ ? BodyLength::until_close() : BodyLength::chunked());
}

void HttpConnection::append_chunk(std::string& out, std::string_view chunk) const {
  if (until_close_) {
    out += chunk;
    return;
  }
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, chunk.size(), 16).ptr;
  out.append(digits, end);
  out += "\r\n";
  out += chunk;
  out += "\r\n";
}

awaitable<Status> HttpConnection::write(std::string_view chunk) {
  TG_CHECK(answer_ == Answer::kStreaming);
  if (!chunk.empty()) append_chunk(out_, chunk);  // an empty chunk would be the end of the body
  const Status status = co_await send(out_);
  empty_out();
  co_return status;
}

HttpExchange::Written HttpConnection::write_now(std::string_view chunk) {
  TG_CHECK(answer_ == Answer::kStreaming);
  // Mostly nothing is left of the head or of a chunk before. Then the bytes are put together in a buffer of the thread's,
  // which is in the cache: this connection's own has left it since its last chunk.
  thread_local std::string scratch;
  std::string& bytes = out_.empty() ? scratch : out_;
  if (!chunk.empty()) append_chunk(bytes, chunk);
  std::size_t sent = 0;
  const HttpExchange::Written written = send_now(bytes, sent);
  if (&bytes == &out_) {
    out_.erase(0, sent);
    if (out_.empty()) empty_out();
    return written;
  }
  out_ = std::string_view(scratch).substr(sent);
  scratch.clear();
  if (scratch.capacity() > kKeptBufferBytesMax) scratch.shrink_to_fit();
  return written;
}

HttpExchange::Written HttpConnection::send_now(std::string_view bytes, std::size_t& sent) {
  while (sent < bytes.size()) {
    if (is_cut_) return HttpExchange::Written::kFailed;
    boost::system::error_code error;
    auto ignored = asio::ip::tcp::socket::wait_write;
    const std::size_t taken = write_some(bytes.substr(sent), ignored, error);
    if (error == asio::error::would_block || error == asio::error::try_again) return HttpExchange::Written::kPart;
    if (error) {
      on_write_failed();
      return HttpExchange::Written::kFailed;
    }
    sent += taken;
  }
  return HttpExchange::Written::kAll;
}

void HttpConnection::empty_out() {
  out_.clear();
  if (out_.capacity() > kKeptBufferBytesMax) out_.shrink_to_fit();
}

void HttpConnection::on_write_failed() {
  is_ended_ = true;
  keep_alive_ = false;
  mark_gone();
}

awaitable<Status> HttpConnection::end_stream(std::string_view last) {
  TG_CHECK(answer_ == Answer::kStreaming);
  if (!last.empty()) append_chunk(out_, last);
  if (!until_close_) out_ += "0\r\n\r\n";
  const Status status = co_await send(out_);
  out_.clear();
  if (status) answer_ = Answer::kDone;
  co_return status;
}

std::size_t HttpConnection::write_some(std::string_view bytes, asio::ip::tcp::socket::wait_type& wait,
                                       boost::system::error_code& error) {
  if (!tls_) return socket_.write_some(asio::buffer(bytes), error);
  const TlsSession::Outcome outcome = tls_->write(bytes);
  switch (outcome.next) {
    case TlsSession::Next::kDone: return outcome.bytes;
    case TlsSession::Next::kWantRead: wait = asio::ip::tcp::socket::wait_read; break;
    case TlsSession::Next::kWantWrite: break;
    case TlsSession::Next::kEnd:
    case TlsSession::Next::kFailed: error = asio::error::connection_reset; return 0;
  }
  error = asio::error::would_block;
  return 0;
}

awaitable<Status> HttpConnection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (is_cut_) break;
    boost::system::error_code error;
    auto wait = asio::ip::tcp::socket::wait_write;
    // Mostly the kernel takes everything at once; then no coroutine is suspended and no event loop is asked.
    const std::size_t sent = write_some(bytes, wait, error);
    if (!error) {
      bytes.remove_prefix(sent);
      continue;
    }
    if (error != asio::error::would_block && error != asio::error::try_again) {
      on_write_failed();
      break;
    }
    write_deadline_ = core_->clock.mono() + lane_.limits.write_stall;
    unacked_bytes_ = count_unacked();
    co_await socket_.async_wait(wait, asio::as_tuple(asio::use_awaitable));
    write_deadline_ = Mono::max();
  }
  if (bytes.empty()) co_return Status();
  if (is_stalled_) {
    co_return fail(Code::kDeadlineExceeded, "write_stall", "the client took no byte for too long");
  }
  co_return fail(Code::kCancelled, "client_gone", "the client closed the connection");
}

}  // namespace tidegate
