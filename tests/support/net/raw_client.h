#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tidegate::test {

/// A blocking TCP client that sends exactly the bytes it is given: for requests no decent client would send.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port, int receive_buffer_bytes = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer_bytes > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
    }
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  virtual ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  /// False when the peer no longer takes bytes.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = transmit(bytes);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  enum class Got { kBytes, kEnd, kReset, kNothing };
  /// Appends what arrives next to received().
  Got read_some(std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    char piece[16384];
    ssize_t n = 0;
    do {
      pollfd waited{fd_, POLLIN, 0};
      if (!has_buffered() && ::poll(&waited, 1, static_cast<int>(limit.count())) <= 0) return Got::kNothing;
      errno = 0;
      n = receive(piece, sizeof piece);
    } while (n < 0 && errno == EAGAIN);  // bytes of the transport's own
    if (n < 0) return Got::kReset;
    if (n == 0) return Got::kEnd;
    received_.append(piece, static_cast<std::size_t>(n));
    return Got::kBytes;
  }
  /// Reads until the peer ends; true for FIN, false for RST or silence.
  bool read_to_end() {
    while (true) {
      switch (read_some()) {
        case Got::kBytes: continue;
        case Got::kEnd: return true;
        case Got::kReset:
        case Got::kNothing: return false;
      }
    }
  }
  /// Reads until received() holds `text`.
  bool read_until(std::string_view text) {
    while (received_.find(text) == std::string::npos) {
      if (read_some() != Got::kBytes) return false;
    }
    return true;
  }
  /// Takes one answer with a Content-Length off the front of received().
  struct Answer {
    int status = 0;
    std::string head;
    std::string body;
  };
  Answer read_answer() {
    if (!read_until("\r\n\r\n")) return {};
    const auto end = received_.find("\r\n\r\n") + 4;
    Answer answer;
    answer.head = received_.substr(0, end);
    answer.status = std::atoi(answer.head.c_str() + 9);
    const auto at = answer.head.find("Content-Length: ");
    const std::size_t length = at == std::string::npos ? 0 : std::strtoul(answer.head.c_str() + at + 16, nullptr, 10);
    while (received_.size() < end + length) {
      if (read_some() != Got::kBytes) return {};
    }
    answer.body = received_.substr(end, length);
    received_.erase(0, end + length);
    return answer;
  }

  void shutdown_write() { ::shutdown(fd_, SHUT_WR); }
  /// Leaves with RST, as a crashed client does.
  void reset() {
    forget();
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void close() {
    forget();
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  const std::string& received() const { return received_; }

 protected:
  /// As send(2) and recv(2); another transport of the same bytes may stand between.
  virtual ssize_t transmit(std::string_view bytes) { return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  virtual ssize_t receive(char* into, std::size_t room) { return ::recv(fd_, into, room, 0); }
  virtual bool has_buffered() const { return false; }
  /// The socket is about to go.
  virtual void forget() {}
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
  std::string received_;
};

}  // namespace tidegate::test
