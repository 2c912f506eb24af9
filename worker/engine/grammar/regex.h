#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/result.h"

namespace tidegate::worker::grammar {

/// Inclusive ranges of code points, sorted and apart.
using CharRanges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

/// A parsed pattern. Nodes refer to others by index; `root` matches the whole text (patterns that are not anchored
/// have "anything" at their open ends already).
struct Regex {
  enum class Kind : std::uint8_t { kEmpty, kChars, kSequence, kChoice, kRepeat };
  struct Node {
    Kind kind = Kind::kEmpty;
    CharRanges chars;
    std::vector<std::uint32_t> parts;
    std::uint32_t least = 0;
    std::uint32_t most = 0;  ///< kRepeat; kUnbounded (automaton.h)
  };
  std::vector<Node> nodes;
  std::uint32_t root = 0;
};

/// The subset of ECMA 262 that is a regular language and common in schemas: literals, '.', classes, \d \w \s \D \W \S,
/// \t \n \r \f \v, \xHH, \uHHHH, \u{H..}, groups (plain and (?:)), '|', '*', '+', '?', {n}, {n,}, {n,m}, and '^' and
/// '$' around a whole alternative. \w, \d and \s are ASCII. A lazy '?' changes nothing. Fails:
/// invalid_argument/pattern_unsupported (back references, look-around, \b, \p, ...), pattern_invalid; the message names
/// the place.
Result<Regex> parse_regex(std::string_view pattern);

}  // namespace tidegate::worker::grammar
