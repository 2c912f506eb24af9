#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace tidegate::bench {

/// Reads HTTP/1.1 answers of servers under test, in any slicing: Content-Length, chunked, or until the connection ends.
/// Lean rather than strict: the servers are ours or known. Pure; reused for the next answer after reset().
class ResponseReader {
 public:
  enum class State : std::uint8_t { kHead, kBody, kDone, kBroken };
  using OnBody = std::function<void(std::string_view)>;

  static constexpr std::size_t kHeadBytesMax = 64 * 1024;

  /// Body bytes go to `on_body` as they come, without the chunks' framing. Returns how many bytes were used: fewer than
  /// given only once the answer is done or broken.
  std::size_t feed(std::string_view bytes, const OnBody& on_body);
  /// The peer closed. An answer that is delimited by that is done now; any other is broken unless it was done.
  void on_end();
  void reset() { *this = ResponseReader(); }

  State state() const { return state_; }
  /// 0 until the head was read.
  int status() const { return status_; }
  /// The server ends the connection after this answer.
  bool closes() const { return closes_; }
  /// Whole seconds of Retry-After; 0 without one.
  int retry_after_s() const { return retry_after_s_; }

 private:
  enum class Framing : std::uint8_t { kSized, kChunked, kUntilEnd };
  enum class Chunk : std::uint8_t { kSize, kData, kDataEnd, kTrailer };
  bool take_head();
  void take_field(std::string_view line);
  std::size_t feed_chunked(std::string_view bytes, const OnBody& on_body);
  bool take_chunk_line();

  State state_ = State::kHead;
  Framing framing_ = Framing::kUntilEnd;
  Chunk chunk_ = Chunk::kSize;
  std::string line_;  // the head, later the framing line that is not complete yet
  std::uint64_t left_ = 0;
  int status_ = 0;
  int retry_after_s_ = 0;
  bool closes_ = false;
};

}  // namespace tidegate::bench
