#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/log.h"

namespace tidegate::test {

/// Keeps log lines as JsonLog would have written them, with a zero timestamp. Thread-safe.
class LogCapture final : public Log {
 public:
  struct Line {
    LogLevel level;
    std::string event;
    std::string json;
  };

  void write(LogLevel level, std::string_view event, LogFields fields) override {
    Line line{level, std::string(event), render_log_line(Wall{}, "test", level, event, fields)};
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }

  std::vector<Line> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  std::size_t count(std::string_view event) const {
    std::size_t n = 0;
    for (const Line& line : lines()) n += line.event == event ? 1 : 0;
    return n;
  }
  bool has(std::string_view event) const { return count(event) > 0; }
  /// True if any line holds `text` anywhere: for proving that a secret was never logged.
  bool mentions(std::string_view text) const {
    for (const Line& line : lines()) {
      if (line.json.find(text) != std::string::npos) return true;
    }
    return false;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Line> lines_;
};

}  // namespace tidegate::test
