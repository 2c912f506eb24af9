#include "base/core/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iterator>

#include "base/core/encoding.h"

namespace tidegate {

namespace {
constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error"};
}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kLevelNames); ++i) {
    if (kLevelNames[i] == name) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

void append_json_string(std::string& out, std::string_view text) {
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
  std::string line = fmt::format(R"({{"ts":"{}","level":"{}","service":)", format_rfc3339(now),
                                 kLevelNames[static_cast<std::size_t>(level)]);
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
