#include "base/net/http_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>

#include "base/net/quiet.h"
#include "base/net/timer.h"

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

}  // namespace

awaitable<Result<std::unique_ptr<HttpClient>>> HttpClient::connect(std::string host, std::string port,
                                                                   Deadline deadline) {
  auto state = std::make_unique<State>(co_await asio::this_coro::executor);
  const bool is_v6 = host.find(':') != std::string::npos;
  state->host = (is_v6 ? "[" + host + "]" : host) + ":" + port;
  TG_CO_TRY(co_await with_deadline(open_socket(state->socket, host, port), deadline, "connecting to " + state->host));
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
  const auto lost = [this](const boost::system::error_code& error) {
    return fail(Code::kUnavailable, "connection_lost", state_->host + ": " + error.message());
  };
  const std::string text = render_request(request, state_->host);
  // A server that refuses early closes while we still send: its answer counts, not our broken pipe.
  const auto [write_error, written] = co_await asio::async_write(state_->socket, asio::buffer(text), kQuiet);

  http::response_parser<http::buffer_body> parser;
  parser.body_limit(boost::none);
  const auto [head_error, head_bytes] =
      co_await http::async_read_header(state_->socket, state_->buffer, parser, kQuiet);
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
    auto [error, bytes] = co_await http::async_read_some(state_->socket, state_->buffer, parser, kQuiet);
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
