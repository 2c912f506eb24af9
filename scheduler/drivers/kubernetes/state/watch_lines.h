#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace tidegate::scheduler::kube {

/// Cuts a watch's bytes into its events, one JSON document a line. Pure.
class WatchLines {
 public:
  explicit WatchLines(std::size_t line_max) : line_max_(line_max) {}

  /// False: a line is longer than the limit; nothing more may be fed.
  bool feed(std::string_view bytes) {
    buffer_ += bytes;
    // Only what no take() has looked at yet counts: whole lines wait here for a moment.
    return buffer_.size() - begin_ <= line_max_ || buffer_.find('\n', begin_) != std::string::npos;
  }

  /// The next whole line without its end; empty lines are passed over.
  std::optional<std::string> take() {
    for (;;) {
      const auto end = buffer_.find('\n', begin_);
      if (end == std::string::npos) {
        buffer_.erase(0, begin_);
        begin_ = 0;
        return std::nullopt;
      }
      std::string line = buffer_.substr(begin_, end - begin_);
      begin_ = end + 1;
      if (!line.empty()) return line;
    }
  }

 private:
  std::size_t line_max_;
  std::string buffer_;
  std::size_t begin_ = 0;
};

}  // namespace tidegate::scheduler::kube
