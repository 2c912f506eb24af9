#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace tidegate {

/// What can be said of a regular expression (RE2's syntax) without a text.
struct PatternShape {
  static constexpr std::size_t kUnbounded = std::numeric_limits<std::size_t>::max();

  /// An expression for every beginning of a match, the empty one and the whole one included. It may say yes to more
  /// than that (an assertion at the end of what is known is taken for true), never to less.
  std::string beginnings;
  std::size_t bytes_max = 0;  ///< of the longest match in UTF-8; an upper bound
  bool may_be_empty = false;
  bool has_anchors = false;   ///< ^ $ \A \z: they ask where a text begins or ends
};

/// Reads a pattern that RE2 has accepted. Repetitions are greedy or not: the set of matches is the same.
/// Fails: invalid_argument/bad_pattern for what RE2 takes and this reader does not: \Q...\E, \C, groups deeper than
/// 64.
Result<PatternShape> shape_of(std::string_view pattern);

}  // namespace tidegate
