#pragma once

#include <string>
#include <string_view>

#include "base/core/byte_scan.h"

namespace tidegate {

/// Ends the object of a server-sent event, and the event.
inline constexpr std::string_view kEventEnd = "}\n\n";

/// Appends `text` as a quoted JSON string by copying runs: 10x faster on answer text than checking each byte for the
/// log's stricter rules (append_json_string() in log.h, for text that may be anything). `text` must be valid UTF-8, as
/// everything from a worker and from a JSON parser is.
inline void append_json_text(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  std::size_t run = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    while (text.size() - i >= kWordBytes && !needs_json_escape(load_word(text.data() + i))) i += kWordBytes;
    if (i == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out.append(text.substr(run, i - run));
    run = i + 1;
    switch (byte) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        out += "\\u00";
        out += kHex[byte >> 4];
        out += kHex[byte & 15];
    }
  }
  out.append(text.substr(run));
  out += '"';
}

}  // namespace tidegate
