#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/result.h"

namespace tidegate::gateway {

/// An answer as its client had it, without what the server adds to each connection.
struct StoredAnswer {
  int status = 0;
  bool is_stream = false;
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  ///< of a stream: all its events

  bool operator==(const StoredAnswer&) const = default;
};

/// Length-prefixed binary, big-endian, with a byte of format in front.
std::string encode_answer(const StoredAnswer& answer);
/// Fails: data_loss/bad_answer for anything that encode_answer() does not make.
Result<StoredAnswer> decode_answer(std::string_view bytes);

}  // namespace tidegate::gateway
