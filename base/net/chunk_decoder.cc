#include "base/net/chunk_decoder.h"

#include <algorithm>
#include <string>

#include "base/core/encoding.h"

namespace tidegate {

namespace {

constexpr std::uint32_t kSizeDigitsMax = 8;

std::unexpected<Error> bad_chunk(const char* message) { return fail(Code::kInvalidArgument, "bad_chunk", message); }

}  // namespace

Status ChunkDecoder::take_framing_byte(char c) {
  switch (state_) {
    case State::kSize: {
      if (const int digit = hex_value(c); digit >= 0) {
        if (++size_digits_ > kSizeDigitsMax) return bad_chunk("a chunk size has at most 8 hex digits");
        chunk_left_ = chunk_left_ * 16 + static_cast<std::uint64_t>(digit);
        return {};
      }
      if (c != '\r' || size_digits_ == 0) return bad_chunk("a chunk starts with its size in hex and CR LF, nothing else");
      state_ = State::kSizeLf;
      return {};
    }
    case State::kSizeLf:
      if (c != '\n') return bad_chunk("a chunk size ends with CR LF");
      size_digits_ = 0;
      if (chunk_left_ == 0) {
        state_ = State::kEndCr;
        return {};
      }
      if (++chunks_ > kChunksMax) return bad_chunk("the body comes in too many chunks; send larger ones");
      total_ += chunk_left_;
      if (total_ > body_max_) {
        return fail(Code::kOutOfRange, "body_too_large",
                    "the body exceeds " + std::to_string(body_max_) + " bytes");
      }
      state_ = State::kData;
      return {};
    case State::kDataCr:
      if (c != '\r') return bad_chunk("chunk data ends with CR LF");
      state_ = State::kDataLf;
      return {};
    case State::kDataLf:
      if (c != '\n') return bad_chunk("chunk data ends with CR LF");
      state_ = State::kSize;
      return {};
    case State::kEndCr:
      if (c != '\r') return bad_chunk("trailers are not taken");
      state_ = State::kEndLf;
      return {};
    case State::kEndLf:
      if (c != '\n') return bad_chunk("the body ends with CR LF");
      state_ = State::kDone;
      return {};
    case State::kData:
    case State::kDone:
      break;
  }
  return bad_chunk("no framing byte is due");
}

Result<std::size_t> ChunkDecoder::feed(std::string_view input, ByteBuffer& body) {
  std::size_t used = 0;
  while (used < input.size() && state_ != State::kDone) {
    if (state_ != State::kData) {
      TG_TRY(take_framing_byte(input[used]));
      ++used;
      continue;
    }
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(chunk_left_, input.size() - used));
    body.append(input.substr(used, n));
    used += n;
    chunk_left_ -= n;
    if (chunk_left_ == 0) state_ = State::kDataCr;
  }
  return used;
}

}  // namespace tidegate
