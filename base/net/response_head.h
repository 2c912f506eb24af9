#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/net/http_message.h"

namespace tidegate {

/// How the body of an answer is delimited.
struct BodyLength {
  static BodyLength sized(std::uint64_t bytes) { return BodyLength(Kind::kSized, bytes); }
  static BodyLength chunked() { return BodyLength(Kind::kChunked, 0); }
  /// By the end of the connection: a stream to an HTTP/1.0 client.
  static BodyLength until_close() { return BodyLength(Kind::kUntilClose, 0); }

  enum class Kind : std::uint8_t { kSized, kChunked, kUntilClose };
  Kind kind;
  std::uint64_t bytes;

 private:
  BodyLength(Kind kind_in, std::uint64_t bytes_in) : kind(kind_in), bytes(bytes_in) {}
};

/// Appends status line, headers and blank line. Control characters in header values become spaces, so that a
/// handler that echoes input cannot split the answer. `date_line` as from make_date_line().
void append_response_head(std::string& out, int status, std::string_view content_type, const HttpHeaders& headers,
                          BodyLength length, bool close, std::string_view date_line);

/// "Date: Sat, 21 Nov 2026 08:00:00 GMT\r\n"
std::string make_date_line(Wall now);

}  // namespace tidegate
