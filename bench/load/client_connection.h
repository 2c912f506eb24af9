#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "bench/load/load_plan.h"
#include "bench/load/response_reader.h"
#include "bench/load/token_events.h"

namespace tidegate::bench {

/// A request as its client sees it.
struct Ask {
  Mono due;  ///< when this try was meant to be sent
  std::uint32_t phase = 0;
  std::uint32_t tenant = 0;
  std::int32_t tries = 0;  ///< refusals it has been waiting for
};

/// One request and its answer on the wire. Instants are Mono{} while they have not come.
struct Exchange {
  Ask ask;
  Mono sent{};
  Mono first_byte{};
  Mono first_token{};
  Mono last_token{};
};

/// Hears every token event at the moment it was read. `gap` is from the one before in the same stream; negative for the
/// first.
class TokenListener {
 public:
  virtual ~TokenListener() = default;
  virtual void on_token(Duration gap) = 0;
};

/// One keep-alive connection of the load generator: a non-blocking socket, one request at a time. One thread.
class ClientConnection {
 public:
  enum class Progress : std::uint8_t { kWaiting, kDone, kLost };

  /// Begins to connect; whether it can shows with the first request. `clock` and `listener` outlive it.
  /// Fails: invalid_argument/bad_address, resource_exhausted/no_socket.
  static Result<std::unique_ptr<ClientConnection>> open(const Target& target, bool reads_events, const Clock& clock,
                                                        TokenListener& listener);
  /// Use open().
  ClientConnection(int fd, bool reads_events, const Clock& clock, TokenListener& listener);
  ~ClientConnection();
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  int fd() const { return fd_; }
  bool is_busy() const { return is_busy_; }
  /// It has had no answer yet.
  bool is_fresh() const { return is_fresh_; }
  /// Bytes of the request are left: call flush() when the socket takes more.
  bool wants_write() const { return !unsent_.empty(); }

  /// `text` outlives the exchange: head and body of the request.
  Progress begin(const Ask& ask, std::string_view text);
  Progress flush();
  /// Reads once. kDone: exchange() and reader() tell what came; call free() before the next request.
  Progress read();
  void free();

  const Exchange& exchange() const { return exchange_; }
  const ResponseReader& reader() const { return reader_; }
  /// Of a stream, that it came to its end and not to an error; of any other answer true.
  bool is_whole() const { return !is_stream_answer() || (events_.is_done() && !events_.is_cut()); }
  std::int64_t completion_tokens() const;

 private:
  bool is_stream_answer() const { return reads_events_ && reader_.status() == 200; }
  void take_body(std::string_view bytes);
  void take_token();

  static constexpr std::size_t kTailBytes = 4096;

  const int fd_;
  const bool reads_events_;
  const Clock& clock_;
  TokenListener& listener_;
  ResponseReader reader_;
  TokenEvents events_;
  Exchange exchange_;
  std::string_view unsent_;
  std::string tail_;  // of an answer that is no stream: its usage stands at the end
  Mono now_{};        // of the read under way
  bool is_busy_ = false;
  bool is_fresh_ = true;
  bool is_endless_ = false;
};

}  // namespace tidegate::bench
