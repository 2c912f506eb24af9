#include "base/core/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <iterator>
#include <type_traits>

#include "base/core/byte_scan.h"
#include "base/core/encoding.h"

namespace tidegate {

namespace {
constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error"};
/// A request's line is some 600 bytes.
constexpr std::size_t kLineBytesUsual = 1'024;

/// Stands in a JSON string as it is. Bytes from 0x80 on are looked at as UTF-8.
bool is_plain(std::string_view text) {
  const auto is_special = [](char c) { return c < 0x20 || c == 0x7f || c == '"' || c == '\\'; };  // from 0x80 on: negative
  static_assert(std::is_signed_v<char>);
  const auto has_special = [](std::uint64_t word) {
    return has_high_byte(word) || needs_json_escape(word) || has_byte(word, 0x7f);
  };
  return !any_byte(text, has_special, is_special);
}
}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kLevelNames); ++i) {
    if (kLevelNames[i] == name) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

LogField::LogField(std::string_view key, double value) : key_(key) {
  const auto written = std::snprintf(digits_, sizeof digits_, "%f", value);
  const auto fits = [](int size) { return size > 0 && static_cast<std::size_t>(size) < sizeof digits_; };
  size_ = static_cast<std::size_t>(fits(written) ? written : std::snprintf(digits_, sizeof digits_, "%g", value));
}

void append_json_string(std::string& out, std::string_view text) {
  if (is_plain(text)) {  // nearly all of them
    out += '"';
    out += text;
    out += '"';
    return;
  }
  const bool utf8 = is_valid_utf8(text);
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8)) {
          out += fmt::format("\\u{:04x}", byte);
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

std::string render_log_line(Wall now, std::string_view service, LogLevel level, std::string_view event,
                            LogFields fields) {
  std::string line;
  line.reserve(kLineBytesUsual);
  line += R"({"ts":")";
  line += format_rfc3339(now);
  line += R"(","level":")";
  line += kLevelNames[static_cast<std::size_t>(level)];
  line += R"(","service":)";
  append_json_string(line, service);
  line += ",\"event\":";
  append_json_string(line, event);
  for (const LogField& field : fields) {
    line += ',';
    append_json_string(line, field.key());
    line += ':';
    if (field.is_quoted()) {
      append_json_string(line, field.text());
    } else {
      line += field.text();
    }
  }
  line += '}';
  return line;
}

void JsonLog::write(LogLevel level, std::string_view event, LogFields fields) {
  if (level < least_.load()) return;
  std::string line = render_log_line(clock_.wall(), service_, level, event, fields);
  line += '\n';
  // A log that cannot be written must not stop the service; there is nowhere to report it.
  [[maybe_unused]] const auto written = ::write(fd_, line.data(), line.size());
}

}  // namespace tidegate
