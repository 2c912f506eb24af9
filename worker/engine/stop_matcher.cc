#include "worker/engine/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace tidegate::worker {

std::string StopMatcher::feed(std::string_view text) {
  if (stopped_) return {};
  if (stops_.empty()) return std::string(text);
  for (const char c : text) {
    held_.push_back(c);
    std::size_t longest = 0;
    for (const std::string& stop : stops_) {
      if (held_.ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) {
      stopped_ = true;
      stop_text_ = held_.substr(held_.size() - longest);
      held_.resize(held_.size() - longest);
      return std::exchange(held_, {});
    }
  }
  const std::size_t keep = held_back();
  std::string safe = held_.substr(0, held_.size() - keep);
  held_.erase(0, safe.size());
  return safe;
}

std::string StopMatcher::finish() {
  return std::exchange(held_, {});
}

// Length of the longest end of held_ that begins some stop string.
std::size_t StopMatcher::held_back() const {
  std::size_t keep = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t length = std::min(stop.size() - 1, held_.size()); length > keep; --length) {
      if (held_.ends_with(std::string_view(stop).substr(0, length))) keep = length;
    }
  }
  return keep;
}

}  // namespace tidegate::worker
