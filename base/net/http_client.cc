#include "base/net/http_client.h"

#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <optional>

#include "base/net/quiet.h"
#include "base/net/timer.h"
#include "base/net/tls_context.h"

namespace tidegate {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
constexpr std::size_t kBodyBytesMax = 64 * 1024 * 1024;

std::string render_request(const HttpClientRequest& request, const std::string& host) {
  std::string text = request.method + " " + request.target + " HTTP/1.1\r\nHost: " + host + "\r\n";
  bool has_type = false;
  for (const auto& [name, value] : request.headers) {
    text += name + ": " + value + "\r\n";
    has_type = has_type || equals_ignore_case(name, "Content-Type");
  }
  if (!request.body.empty() && !has_type) text += "Content-Type: application/json\r\n";
  if (!request.body.empty() || request.method == "POST") {
    text += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return text + "\r\n" + request.body;
}

}  // namespace

struct HttpClient::State {
  explicit State(const Executor& executor) : socket(executor) {}
  asio::ip::tcp::socket socket;
  std::shared_ptr<const TlsContext> shared_tls;  // with the client's other connections
  std::optional<asio::ssl::context> tls_context;
  std::optional<asio::ssl::stream<asio::ip::tcp::socket&>> tls;
  beast::flat_buffer buffer;
  std::string host;
};

HttpClient::HttpClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpClient::~HttpClient() = default;

std::string_view HttpClientResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (equals_ignore_case(key, name)) return value;
  }
  return {};
}

bool HttpClient::is_open() const { return state_->socket.is_open(); }

void HttpClient::keep_alive() {
  boost::system::error_code ignored;
  state_->socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const int fd = state_->socket.native_handle();
  const int idle_s = 10, interval_s = 5, probes = 3;
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

void HttpClient::close() {
  boost::system::error_code ignored;
  state_->socket.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  state_->socket.close(ignored);
}

void HttpClient::abort() {
  boost::system::error_code ignored;
  state_->socket.set_option(asio::socket_base::linger(true, 0), ignored);
  state_->socket.close(ignored);
}

namespace {

awaitable<Status> open_socket(asio::ip::tcp::socket& socket, const std::string& host, const std::string& port) {
  asio::ip::tcp::resolver resolver(socket.get_executor());
  auto [resolve_error, endpoints] = co_await resolver.async_resolve(host, port, kQuiet);
  boost::system::error_code error = resolve_error;
  if (!error) {
    auto [connect_error, endpoint] = co_await asio::async_connect(socket, endpoints, kQuiet);
    error = connect_error;
  }
  if (error) {
    co_return fail(Code::kUnavailable, "connect_failed",
                   "cannot connect to " + host + ":" + port + ": " + error.message());
  }
  boost::system::error_code ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  co_return Status();
}

bool expect_name(SSL* ssl, const std::string& name) {
  boost::system::error_code no_address;
  asio::ip::make_address(name, no_address);
  if (no_address) return SSL_set_tlsext_host_name(ssl, name.c_str()) == 1 && SSL_set1_host(ssl, name.c_str()) == 1;
  return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1;
}

awaitable<Status> shake_hands(asio::ssl::stream<asio::ip::tcp::socket&>& tls, const std::string& name) {
  if (!expect_name(tls.native_handle(), name)) {
    co_return fail(Code::kInvalidArgument, "bad_name", "'" + name + "' is no name that a certificate can bear");
  }
  const auto [error] = co_await tls.async_handshake(asio::ssl::stream_base::client, kQuiet);
  if (!error) co_return Status();
  const long verified = SSL_get_verify_result(tls.native_handle());
  std::string why = error.message();
  if (verified != X509_V_OK) why = X509_verify_cert_error_string(verified);
  co_return fail(Code::kUnavailable, "tls_failed", "no TLS with '" + name + "': " + why);
}

awaitable<Status> open_tls(asio::ip::tcp::socket& socket, asio::ssl::stream<asio::ip::tcp::socket&>& tls,
                           const std::string& host, const std::string& port, const std::string& name) {
  TG_CO_TRY(co_await open_socket(socket, host, port));
  co_return co_await shake_hands(tls, name);
}

std::string shown_host(const std::string& host, const std::string& port) {
  return (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + port;
}

}  // namespace

awaitable<Result<std::unique_ptr<HttpClient>>> HttpClient::connect(std::string host, std::string port,
                                                                   Deadline deadline) {
  auto state = std::make_unique<State>(co_await asio::this_coro::executor);
  state->host = shown_host(host, port);
  TG_CO_TRY(co_await with_deadline(open_socket(state->socket, host, port), deadline, "connecting to " + state->host));
  co_return std::unique_ptr<HttpClient>(new HttpClient(std::move(state)));
}

awaitable<Result<std::unique_ptr<HttpClient>>> HttpClient::connect_tls(std::string host, std::string port,
                                                                       HttpClientTls tls, Deadline deadline) {
  auto state = std::make_unique<State>(co_await asio::this_coro::executor);
  state->host = shown_host(host, port);
  state->shared_tls = std::move(tls.context);
  SSL_CTX* native = state->shared_tls->native();
  SSL_CTX_up_ref(native);  // Asio's context gives one back
  state->tls_context.emplace(native);
  state->tls.emplace(state->socket, *state->tls_context);
  const std::string name = tls.server_name.empty() ? host : tls.server_name;
  auto opening = open_tls(state->socket, *state->tls, host, port, name);
  TG_CO_TRY(co_await with_deadline(std::move(opening), deadline, "connecting to " + state->host));
  co_return std::unique_ptr<HttpClient>(new HttpClient(std::move(state)));
}

awaitable<Result<HttpClientResponse>> HttpClient::request(HttpClientRequest request, Deadline deadline,
                                                          BodySink sink) {
  auto answer =
      co_await with_deadline(exchange(std::move(request), std::move(sink)), deadline, "the answer of " + state_->host);
  if (!answer) abort();  // what is still unread belongs to an exchange nobody waits for
  co_return answer;
}

awaitable<Result<HttpClientResponse>> HttpClient::exchange(HttpClientRequest request, BodySink sink) {
  if (state_->tls) return exchange_on(*state_->tls, std::move(request), std::move(sink));
  return exchange_on(state_->socket, std::move(request), std::move(sink));
}

template <typename Stream>
awaitable<Result<HttpClientResponse>> HttpClient::exchange_on(Stream& stream, HttpClientRequest request, BodySink sink) {
  const auto lost = [this](const boost::system::error_code& error) {
    return fail(Code::kUnavailable, "connection_lost", state_->host + ": " + error.message());
  };
  const std::string text = render_request(request, state_->host);
  // A server that refuses early closes while we still send: its answer counts, not our broken pipe.
  const auto [write_error, written] = co_await asio::async_write(stream, asio::buffer(text), kQuiet);

  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  const auto [head_error, head_bytes] =
      co_await http::async_read_header(stream, state_->buffer, parser, kQuiet);
  if (head_error) co_return lost(write_error ? write_error : head_error);

  HttpClientResponse answer;
  answer.status = parser.get().result_int();
  for (const auto& field : parser.get()) {
    answer.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  char piece[16 * 1024];
  while (!parser.is_done()) {
    parser.get().body().data = piece;
    parser.get().body().size = sizeof piece;
    auto [error, bytes] = co_await http::async_read_some(stream, state_->buffer, parser, kQuiet);
    if (error && error != http::error::need_buffer) co_return lost(error);
    const std::string_view got(piece, sizeof piece - parser.get().body().size);
    if (got.empty()) continue;
    if (sink) {
      if (!sink(answer.status, got)) co_return fail(Code::kCancelled, "stopped_by_sink", "the reader asked to stop");
    } else {
      answer.body += got;
      if (answer.body.size() > kBodyBytesMax) {
        co_return fail(Code::kOutOfRange, "body_too_large", "the answer exceeds 64 MiB");
      }
    }
  }
  if (!parser.keep_alive()) close();
  co_return answer;
}

}  // namespace tidegate
