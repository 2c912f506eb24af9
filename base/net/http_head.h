#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/core/result.h"

/// The head of an HTTP/1.x request, read strictly from its raw bytes. We parse these few lines ourselves because a
/// lenient parser hides what a smuggler hides behind (research: Beast joins folded lines, takes "TE: xchunked" for
/// no body, and accepts two Hosts); the tests hold Beast against it as a second opinion.
namespace tidegate {

inline constexpr std::size_t kHeaderFieldsMax = 64;
inline constexpr std::size_t kHeadBytesMax = 16 * 1024;

struct HeaderField {
  std::string_view name;   ///< a token; compare without case
  std::string_view value;  ///< trimmed of blanks and tabs
};

/// Views into the raw head: they live as long as those bytes.
struct HeaderView {
  std::string_view method;
  std::string_view target;
  int version_minor = 1;  ///< HTTP/1.<this>: 0 or 1
  std::array<HeaderField, kHeaderFieldsMax> field_array;
  std::size_t field_count = 0;

  std::span<const HeaderField> fields() const { return {field_array.data(), field_count}; }
  /// Value of the first field of that name, any case; "" when absent.
  std::string_view find(std::string_view name) const;
  std::size_t count(std::string_view name) const;
};

/// Offset just past the blank line that ends the head, or nullopt when it is not complete yet. `searched` is where
/// the last look ended (0 at first), so that a head sent byte by byte costs no quadratic time.
std::optional<std::size_t> find_head_end(std::string_view bytes, std::size_t& searched);

/// Splits a complete head (with its final CRLF CRLF). Refuses at the first oddity: bare CR or LF, obs-fold, blanks
/// around names, bytes outside visible ASCII, a name with '_' (proxies map it to '-'), a version other than 1.0/1.1.
/// Fails: invalid_argument/bad_request_line, bad_header, obs_fold, http_version, headers_too_large.
Status parse_head(std::string_view raw, HeaderView& out);

/// One or more token characters of RFC 9110.
bool is_token(std::string_view text);

/// ASCII only, no locale.
bool equals_ignore_case(std::string_view a, std::string_view b);

}  // namespace tidegate
