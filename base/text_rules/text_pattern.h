#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/core/result.h"

namespace re2 {
class RE2;
}

namespace tidegate {

/// One regular expression that anybody may have written, also one that matches the empty text: for yes or no. Where
/// TextRules is the operator's own list, this is bounded tightly: time is linear in the text times steps() at worst.
class TextPattern {
 public:
  static constexpr std::int64_t kMemoryMax = 256 << 10;

  /// Fails: invalid_argument/bad_pattern: RE2 does not read it (look-around, backreferences), or not in kMemoryMax.
  static Result<TextPattern> compile(std::string_view pattern);
  ~TextPattern();
  TextPattern(TextPattern&&) noexcept;
  TextPattern& operator=(TextPattern&&) noexcept;

  /// Anywhere in valid UTF-8; ^ and $ are its ends. \d, \w and \s are ASCII.
  bool matches(std::string_view text) const;
  /// Of its automaton.
  std::int64_t steps() const;

 private:
  explicit TextPattern(std::unique_ptr<const re2::RE2> expression);
  std::unique_ptr<const re2::RE2> expression_;
};

}  // namespace tidegate
