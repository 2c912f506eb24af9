#include "bench/load/client_connection.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace tidegate::bench {

Result<std::unique_ptr<ClientConnection>> ClientConnection::open(const Target& target, bool reads_events,
                                                                 const Clock& clock, TokenListener& listener) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(target.port);
  if (::inet_pton(AF_INET, target.host.c_str(), &address.sin_addr) != 1) {
    return fail(Code::kInvalidArgument, "bad_address", fmt::format("'{}' is not an IPv4 address", target.host));
  }
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(Code::kResourceExhausted, "no_socket", fmt::format("no socket: {}", std::strerror(errno)));
  auto connection = std::make_unique<ClientConnection>(fd, reads_events, clock, listener);
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  // Refused at once or later, the request on it finds out: it is the same failure to its client.
  static_cast<void>(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  return connection;
}

ClientConnection::ClientConnection(int fd, bool reads_events, const Clock& clock, TokenListener& listener)
    : fd_(fd), reads_events_(reads_events), clock_(clock), listener_(listener), events_([this] { take_token(); }) {}

ClientConnection::~ClientConnection() { ::close(fd_); }

ClientConnection::Progress ClientConnection::begin(const Ask& ask, std::string_view text) {
  exchange_ = Exchange();
  exchange_.ask = ask;
  exchange_.sent = clock_.mono();
  is_busy_ = true;
  unsent_ = text;
  return flush();
}

ClientConnection::Progress ClientConnection::flush() {
  while (!unsent_.empty()) {
    const auto sent = ::send(fd_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      // A server that refuses early may have closed while we still send: its answer counts, so read on.
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN) return Progress::kWaiting;
      unsent_ = {};
      return errno == EPIPE || errno == ECONNRESET ? Progress::kWaiting : Progress::kLost;
    }
    unsent_.remove_prefix(static_cast<std::size_t>(sent));
  }
  return Progress::kWaiting;
}

ClientConnection::Progress ClientConnection::read() {
  static thread_local std::array<char, 64 * 1024> buffer;
  const auto got = ::recv(fd_, buffer.data(), buffer.size(), 0);
  if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? Progress::kWaiting : Progress::kLost;
  if (got == 0) {
    if (!is_busy_) return Progress::kLost;
    reader_.on_end();
    return reader_.state() == ResponseReader::State::kDone ? Progress::kDone : Progress::kLost;
  }
  if (!is_busy_) return Progress::kLost;  // nobody asked
  now_ = clock_.mono();
  if (exchange_.first_byte == Mono{}) exchange_.first_byte = now_;
  const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
  const std::size_t used = reader_.feed(bytes, [this](std::string_view body) { take_body(body); });
  if (reader_.state() == ResponseReader::State::kBroken || is_endless_ || used < bytes.size()) return Progress::kLost;
  return reader_.state() == ResponseReader::State::kDone ? Progress::kDone : Progress::kWaiting;
}

void ClientConnection::free() {
  reader_.reset();
  events_.reset();
  tail_.clear();
  unsent_ = {};
  is_busy_ = false;
  is_fresh_ = false;
}

void ClientConnection::take_body(std::string_view bytes) {
  if (is_stream_answer()) {
    is_endless_ = is_endless_ || !events_.feed(bytes);
    return;
  }
  tail_ += bytes;
  if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

void ClientConnection::take_token() {
  const bool is_first = exchange_.first_token == Mono{};
  listener_.on_token(is_first ? Duration(-1) : now_ - exchange_.last_token);
  if (is_first) exchange_.first_token = now_;
  exchange_.last_token = now_;
}

std::int64_t ClientConnection::completion_tokens() const {
  return is_stream_answer() ? events_.completion_tokens() : find_completion_tokens(tail_);
}

}  // namespace tidegate::bench
