#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/net/asio.h"
#include "base/net/http_message.h"

/// A small HTTP/1.1 client: for the command line, the bench, the tests, and the API server of a Kubernetes cluster. Plain
/// TCP or TLS, no redirects, no proxies.
namespace tidegate {

class TlsContext;

struct HttpClientRequest {
  HttpClientRequest(std::string method_in, std::string target_in, std::string body_in = {})
      : method(std::move(method_in)), target(std::move(target_in)), body(std::move(body_in)) {}
  std::string method;
  std::string target;  ///< "/v1/models?x=1"
  HttpHeaders headers;  ///< Host and Content-Length are set by the client; Content-Type: JSON when there is a body
  std::string body;
};

struct HttpClientResponse {
  int status = 0;
  HttpHeaders headers;
  std::string body;  ///< empty when it went to the callback
  /// Any case; "" when absent.
  std::string_view header(std::string_view name) const;
};

/// Gets body bytes as they arrive; false ends the exchange and closes the connection. `status` is the answer's.
using BodySink = std::function<bool(int status, std::string_view bytes)>;

/// How a connection is secured.
struct HttpClientTls {
  std::shared_ptr<const TlsContext> context;  ///< of TlsContext::for_client. Shared with other connections
  std::string server_name;                    ///< that the certificate must bear; empty: the host connected to
};

/// One keep-alive connection, one request at a time, on one executor.
class HttpClient {
 public:
  /// Fails: unavailable/connect_failed, deadline_exceeded/timeout.
  static awaitable<Result<std::unique_ptr<HttpClient>>> connect(std::string host, std::string port,
                                                                Deadline deadline);
  /// The same over TLS. Fails also: unavailable/tls_failed when the server cannot prove its name, or refuses us.
  static awaitable<Result<std::unique_ptr<HttpClient>>> connect_tls(std::string host, std::string port, HttpClientTls tls,
                                                                    Deadline deadline);
  ~HttpClient();

  /// With a sink the body goes there and not into the response. Body limit without a sink: 64 MiB.
  /// Fails: unavailable/connection_lost, cancelled/stopped_by_sink, deadline_exceeded/timeout. After a failure the
  /// connection is closed.
  awaitable<Result<HttpClientResponse>> request(HttpClientRequest request, Deadline deadline, BodySink sink = {});
  bool is_open() const;
  /// Finds out within about 25 s that the other machine is gone, also while nothing is sent: for answers that last.
  void keep_alive();
  /// Sends FIN and frees the socket.
  void close();
  /// Sends RST: what a client that crashes looks like.
  void abort();

 private:
  struct State;
  explicit HttpClient(std::unique_ptr<State> state);
  awaitable<Result<HttpClientResponse>> exchange(HttpClientRequest request, BodySink sink);
  template <typename Stream>
  awaitable<Result<HttpClientResponse>> exchange_on(Stream& stream, HttpClientRequest request, BodySink sink);
  std::unique_ptr<State> state_;
};

struct Url {
  std::string host;
  std::string port;
  std::string target;
};
/// "http://127.0.0.1:8080/v1/models". Fails: invalid_argument/bad_url.
Result<Url> parse_url(std::string_view text);

/// Connects, asks once, closes; waits on the calling thread. For the command line and tests.
Result<HttpClientResponse> http_fetch(std::string_view url, HttpClientRequest request,
                                      std::chrono::milliseconds timeout, BodySink sink = {});

}  // namespace tidegate
