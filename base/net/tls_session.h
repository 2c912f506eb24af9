#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/net/tls_context.h"

namespace tidegate {

/// The server's side of TLS on one non-blocking socket. Every call does what is possible now and says what to wait for;
/// it never blocks and never suspends, so that a connection drives it with the same waits as plain bytes. Reading may
/// be pending while writes go on. Not thread-safe.
///
/// Directly on OpenSSL rather than on asio::ssl::stream: that one copies every byte through a pair of 17 KiB buffers of
/// its own, and has no write that stops half-way and says so, on which back-pressure rests here.
class TlsSession {
 public:
  enum class Next : std::uint8_t {
    kDone,
    kWantRead,   ///< wait until the socket is readable, then call again
    kWantWrite,  ///< wait until the socket is writable, then call again
    kEnd,        ///< the peer ended its side
    kFailed,     ///< broken; why() has words for the log
  };
  struct Outcome {
    Next next = Next::kFailed;
    std::size_t bytes = 0;
  };

  /// `socket` stays the caller's.
  TlsSession(const TlsContext& context, int socket);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  Outcome handshake();
  Outcome read(char* into, std::size_t room);
  /// After kWant... the next call repeats the same bytes, from any address.
  Outcome write(std::string_view bytes);
  /// Sends close_notify, so that the end cannot be taken for a cut.
  Outcome say_goodbye();

  /// Bytes wait inside: do not wait for the socket before the next read().
  bool has_buffered() const;
  bool is_resumed() const;
  bool is_open() const { return is_open_; }
  /// The socket is about to be closed: its number may soon be another connection's. Later calls fail.
  void detach();
  /// Of the last kFailed: OpenSSL's words, which name no secret.
  const std::string& why() const { return why_; }

 private:
  struct Native;
  Outcome outcome_of(int result, std::size_t bytes);
  std::unique_ptr<Native> native_;
  std::string why_;
  bool is_open_ = false;  ///< the handshake is done, and nothing broke since
};

}  // namespace tidegate
