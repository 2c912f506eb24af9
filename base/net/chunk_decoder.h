#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/core/result.h"
#include "base/net/byte_buffer.h"

namespace tidegate {

/// Reads a chunked request body from any slicing. Strict as the gate: sizes of 1 to 8 hex digits, CR LF exactly, no
/// chunk extensions and no trailers (nobody needs them in a request, and smugglers hide there), at most
/// kChunksMax chunks. Pure.
class ChunkDecoder {
 public:
  static constexpr std::uint32_t kChunksMax = 16 * 1024;

  explicit ChunkDecoder(std::uint64_t body_max) : body_max_(body_max) {}

  /// Takes bytes from `input`, appends content to `body`, returns how many bytes were used: all of them unless the
  /// body ended. After a failure the decoder is not to be used again.
  /// Fails: invalid_argument/bad_chunk, out_of_range/body_too_large.
  Result<std::size_t> feed(std::string_view input, ByteBuffer& body);
  bool is_done() const { return state_ == State::kDone; }

 private:
  enum class State : std::uint8_t { kSize, kSizeLf, kData, kDataCr, kDataLf, kEndCr, kEndLf, kDone };
  Status take_framing_byte(char c);

  const std::uint64_t body_max_;
  State state_ = State::kSize;
  std::uint64_t chunk_left_ = 0;
  std::uint64_t total_ = 0;
  std::uint32_t chunks_ = 0;
  std::uint32_t size_digits_ = 0;
};

}  // namespace tidegate
