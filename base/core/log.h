#pragma once

#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/core/clock.h"

namespace tidegate {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };

/// "debug", "info", "warn" or "error"; anything else is nothing.
std::optional<LogLevel> parse_log_level(std::string_view name);

/// One key/value of a log line. Keys are literals; values are ids, counts and names, never prompts or keys.
///
/// A field keeps no copy of a text: it is made in the call that logs it and dies with it.
class LogField {
 public:
  LogField(std::string_view key, std::string_view value) : key_(key), text_(value), quoted_(true) {}
  LogField(std::string_view key, const char* value) : LogField(key, std::string_view(value)) {}
  LogField(std::string_view key, const std::string& value) : LogField(key, std::string_view(value)) {}
  LogField(std::string_view key, bool value) : key_(key), text_(value ? "true" : "false") {}
  LogField(std::string_view key, double value);
  template <typename T>
    requires std::is_integral_v<T>
  LogField(std::string_view key, T value) : key_(key) {
    size_ = static_cast<std::size_t>(std::to_chars(digits_, digits_ + sizeof digits_, value).ptr - digits_);
  }

  std::string_view key() const { return key_; }
  std::string_view text() const { return size_ > 0 ? std::string_view(digits_, size_) : text_; }
  bool is_quoted() const { return quoted_; }

 private:
  std::string_view key_;
  std::string_view text_;  ///< unless it is a number
  char digits_[32];        ///< of a number, `size_` of them
  std::size_t size_ = 0;
  bool quoted_ = false;
};

using LogFields = std::initializer_list<LogField>;

template <typename T>
LogField kv(std::string_view key, const T& value) {
  return LogField(key, value);
}

/// One JSON object a line: {"ts":...,"level":...,"service":...,"event":...,fields}. The event name is a literal in
/// snake_case. One line per decision, never per token. Thread-safe.
class Log {
 public:
  virtual ~Log() = default;
  void debug(std::string_view event, LogFields fields = {}) { write(LogLevel::kDebug, event, fields); }
  void info(std::string_view event, LogFields fields = {}) { write(LogLevel::kInfo, event, fields); }
  void warn(std::string_view event, LogFields fields = {}) { write(LogLevel::kWarn, event, fields); }
  void error(std::string_view event, LogFields fields = {}) { write(LogLevel::kError, event, fields); }
  virtual void write(LogLevel level, std::string_view event, LogFields fields) = 0;
  /// Lines below `least` are dropped from now on; a log that keeps everything may ignore it.
  virtual void set_least(LogLevel) {}
};

/// Writes to a file descriptor, one write(2) a line, so that lines of several processes never mix.
class JsonLog final : public Log {
 public:
  JsonLog(const Clock& clock, std::string service, LogLevel least, int fd = 2)
      : clock_(clock), service_(std::move(service)), least_(least), fd_(fd) {}
  void write(LogLevel level, std::string_view event, LogFields fields) override;
  void set_least(LogLevel least) override { least_ = least; }

 private:
  const Clock& clock_;
  std::string service_;
  std::atomic<LogLevel> least_;
  int fd_;
};

/// The line JsonLog writes, without the newline.
std::string render_log_line(Wall now, std::string_view service, LogLevel level, std::string_view event,
                            LogFields fields);
/// Appends `text` as a quoted JSON string; invalid UTF-8 and control characters are escaped.
void append_json_string(std::string& out, std::string_view text);

}  // namespace tidegate
