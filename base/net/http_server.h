#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/log.h"
#include "base/core/metrics.h"
#include "base/net/asio.h"
#include "base/net/http_message.h"
#include "base/net/io_threads.h"
#include "base/net/strict_gate.h"

namespace tidegate {

class HttpConnection;
struct HttpCore;
class TlsContext;

/// Sees an answer on its way out, for instance to keep a copy. Called on the connection's executor.
class AnswerTap {
 public:
  virtual ~AnswerTap() = default;
  /// Once, first. Nothing of the answer has left.
  virtual void on_head(int status, const std::string& content_type, const HttpHeaders& headers, bool is_stream) = 0;
  /// The next bytes of the body, before they are sent.
  virtual void on_body(std::string_view bytes) = 0;
  /// Everything was seen; the last bytes are held back until this returns.
  virtual awaitable<void> on_end() = 0;
  /// While true the handler does not notice that its client left: the answer is wanted all the same.
  virtual bool outlives_client() const = 0;
};

/// One request and its answer, in the hands of a handler. Belongs to the connection's executor; everything on it is
/// called there. Answer with respond(), or with begin_stream() ... write() ... end_stream().
class HttpExchange {
 public:
  explicit HttpExchange(HttpConnection& connection) : connection_(connection) {}
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;

  const HttpRequest& request() const;
  Executor executor() const;
  /// Index of the IoThreads lane this connection lives on: handlers pick their per-lane state by it.
  std::size_t lane() const;

  /// Sends a whole answer. Once, and not after begin_stream().
  /// Fails: cancelled/client_gone, deadline_exceeded/write_stall.
  awaitable<Status> respond(HttpResponse response);

  /// Fixes status and headers of a chunked answer. They leave with the first write(), in one segment.
  void begin_stream(int status, std::string content_type, HttpHeaders headers = {});
  /// Sends one chunk at once. Returns when the kernel took all of it: that is the back-pressure. A client that takes
  /// nothing for HttpLimits::write_stall is cut off. Fails as respond().
  awaitable<Status> write(std::string_view chunk);
  enum class Written : std::uint8_t { kAll, kPart, kFailed };
  /// Whether write_now() may be called; false with a tap.
  bool can_write_now() const { return tap_ == nullptr; }
  /// As write(), for a caller that is no coroutine. kPart: the kernel did not take all of it; the rest stays here and
  /// must be followed by a write(), of nothing if need be, or by end_stream(): either waits for it. kFailed: as a
  /// write() that failed.
  Written write_now(std::string_view chunk);
  /// Sends `last` (may be empty) and the end of the body in one segment. Fails as respond().
  awaitable<Status> end_stream(std::string_view last = {});

  /// True once the client closed or reset the connection, a write failed, or the server cuts it off.
  /// A client that shuts down only its sending side counts as gone.
  bool is_client_gone() const;
  /// Calls back once, on this executor, when is_client_gone() turns true; at once if it is true already. One
  /// callback an exchange, dropped when the handler returns. It must not answer; typically it pushes a message
  /// into the mailbox the handler waits on. Bytes of a pipelined next request stay in the connection's buffer.
  void on_gone(std::function<void()> callback);

  /// Status sent so far, or 0.
  int status() const;

  /// From here on `tap` sees the answer; null ends that. Before the answer begins; the tap outlives it.
  void set_tap(AnswerTap* tap) { tap_ = tap; }

 private:
  awaitable<Status> respond_tapped(HttpResponse response);
  awaitable<Status> write_tapped(std::string_view chunk);
  awaitable<Status> end_tapped(std::string_view last);
  bool hides_leaving() const { return tap_ != nullptr && tap_->outlives_client(); }

  HttpConnection& connection_;
  AnswerTap* tap_ = nullptr;
};

/// Runs once per request, one at a time per connection. If it returns without an answer, or throws, the client gets
/// a 500 (or, in the middle of a stream, a cut connection, which a chunked client sees as an error).
/// GCC 12: make it a named function or a lambda whose captures outlive the server, never a temporary inside co_await.
using HttpHandler = std::function<awaitable<void>(HttpExchange&)>;

/// Body of an error answer that the server itself gives (refusals, time limits, overload). Content type is JSON.
using ErrorRenderer = std::function<std::string(const Error& error, int http_status)>;
/// {"error":{"code":..., "reason":..., "message":..., "field":...}}
std::string render_plain_error(const Error& error, int http_status);
/// Headers of such an answer beside the server's own (Allow, Retry-After). Any lane calls it.
using ErrorHeaders = std::function<HttpHeaders(const Error& error, int http_status)>;

/// Every limit of the edge, with the defaults of the architecture.
struct HttpLimits {
  std::chrono::milliseconds handshake{10'000};   ///< TLS only: from the connection to its first byte of HTTP
  std::chrono::milliseconds header{10'000};      ///< first byte of a request to the end of its head
  std::chrono::milliseconds body{30'000};        ///< end of head to end of body
  std::chrono::milliseconds idle{75'000};        ///< between requests of one connection
  std::chrono::milliseconds write_stall{30'000};  ///< a client taking no byte of a pending write
  std::chrono::milliseconds linger{2'000};       ///< discarding what a refused client still sends
  std::uint64_t body_bytes = 8 * 1024 * 1024;
  std::int64_t body_bytes_per_second = 0;    ///< least rate of a body after five seconds; 0: the body limit alone
  std::int64_t requests_per_connection = 0;  ///< then "Connection: close"; 0: any number
  std::size_t connections = 10'000;
  std::size_t connections_per_address = 0;  ///< 0: as many as there are; a proxy's clients share its address
  std::size_t handshakes = 512;             ///< TLS handshakes under way; more are cut off
};

struct HttpServerOptions {
  std::string listen = "127.0.0.1:0";  ///< as parse_endpoint()
  /// Second word of the metric names: tidegate_<service>_http_...
  std::string service = "http";
  HttpLimits limits;
  ErrorHeaders error_headers;  ///< empty: none
  ErrorRenderer render_error = render_plain_error;
  std::shared_ptr<const TlsContext> tls;  ///< null: plain HTTP. Shared with the connections made under it
  MediaTypes media_types = MediaTypes::kJson;
};

/// HTTP/1.1 server. One acceptor hands sockets to the lanes in turn (not SO_REUSEPORT: a second process started by
/// mistake must fail to bind, not silently take half of the traffic). Time limits are checked by one sweep a lane
/// every quarter of the shortest limit (10 to 250 ms), so that a request costs no timers.
class HttpServer {
 public:
  /// Binds, listens and starts serving. All references must outlive the server; `threads` may have other users.
  /// Fails: unavailable/listen_failed, invalid_argument/bad_address.
  static Result<std::unique_ptr<HttpServer>> start(IoThreads& threads, HttpServerOptions options, HttpHandler handler,
                                                   const Clock& clock, Log& log, MetricRegistry& metrics);
  /// As drain(0).
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  /// "127.0.0.1:41234"
  std::string address() const;

  /// Stops accepting, closes idle connections, lets running requests finish with "Connection: close", and at the
  /// deadline cuts off the rest. Returns how many were cut. Blocks; not from a lane. Idempotent.
  std::size_t drain(std::chrono::milliseconds grace);
  std::size_t open_connections() const;

  /// From now on, also for open connections; what a request has begun with it keeps. Any thread, not after drain().
  void set_limits(const HttpLimits& limits);
  /// For new connections; open ones keep what they have. A server started without TLS, or with it, stays so: `tls` is
  /// null as it was or not null as it was. Any thread, not after drain().
  void set_tls(std::shared_ptr<const TlsContext> tls);

 private:
  explicit HttpServer(std::shared_ptr<HttpCore> core);
  std::shared_ptr<HttpCore> core_;  // shared with connections: one whose handler ignores a cut may outlive the server
};

}  // namespace tidegate
