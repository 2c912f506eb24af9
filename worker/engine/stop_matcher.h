#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidegate::worker {

/// Finds stop strings in streamed text. Text that may be the beginning of a stop string is held back until it
/// is decided. The stop string that is complete first ends the text (of several that end together, the
/// longest), so the outcome does not depend on how the text was chunked.
class StopMatcher {
 public:
  /// `stops` are non-empty valid UTF-8.
  explicit StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  /// Text that is now safe to show; whole characters in, whole characters out. Nothing follows once
  /// stopped().
  std::string feed(std::string_view text);
  /// The text ended by other means: what was held back was no stop string.
  std::string finish();
  bool stopped() const { return stopped_; }
  /// The stop string that ended the text; "" before.
  const std::string& stop_text() const { return stop_text_; }

 private:
  std::size_t held_back() const;

  std::vector<std::string> stops_;
  std::string held_;  ///< shorter than the longest stop string between calls
  bool stopped_ = false;
  std::string stop_text_;
};

}  // namespace tidegate::worker
