#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "gateway/guard/guard.h"

namespace tidegate::gateway {

/// The end of a text that goes on: what a guard has not decided yet, and some decided text before it, so that a policy
/// sees what a piece follows. Pure. Memory: what the guard left undecided, two windows of context, the newest piece.
class StreamWindow {
 public:
  explicit StreamWindow(std::size_t context_max) : context_max_(context_max) {}

  /// Whole UTF-8 code points.
  void append(std::string_view text) { text_ += text; }
  bool has_undecided() const { return text_.size() > origin_; }
  /// Valid until the next append() or advance().
  GuardText view(std::string_view role, bool is_last) const;
  /// The first `bytes` of the piece are decided.
  void advance(std::size_t bytes);

  /// Bytes, since the beginning, of what was appended and of what of it is decided.
  std::size_t appended() const { return dropped_ + text_.size(); }
  std::size_t decided() const { return dropped_ + origin_; }
  void clear();

 private:
  const std::size_t context_max_;
  std::string text_;          ///< context, then the piece
  std::size_t origin_ = 0;    ///< of the piece
  std::size_t dropped_ = 0;   ///< bytes before the context
};

}  // namespace tidegate::gateway
