#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace tidegate {

/// Bytes [begin, end) of a text.
struct TextSpan {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool operator==(const TextSpan&) const = default;
};

/// A list of regular expressions (RE2's syntax: no backreferences, no look-around), each known by its place in the
/// list. Time is linear in the text for every pattern there is, memory is bounded. Texts are valid UTF-8. Immutable,
/// thread-safe.
class TextRules {
 public:
  static constexpr std::size_t kPatternsMax = 128;
  static constexpr std::size_t kPatternBytesMax = 1'024;
  static constexpr std::size_t kUnbounded = static_cast<std::size_t>(-1);

  /// Fails: invalid_argument/bad_pattern; Error::field is the place of the pattern ("0", "1", ...), or empty when all
  /// of them together are too large. A pattern that matches the empty text is refused.
  static Result<TextRules> compile(const std::vector<std::string>& patterns);
  ~TextRules();
  TextRules(TextRules&&) noexcept;
  TextRules& operator=(TextRules&&) noexcept;

  std::size_t size() const;
  /// Bytes of the longest match that the pattern can have; kUnbounded: no end.
  std::size_t bytes_max(std::size_t pattern) const;
  /// ^ $ \A \z stand in it.
  bool has_anchors(std::size_t pattern) const;

  /// One pass over the text: for each pattern whether it matches anywhere.
  std::vector<bool> which(std::string_view text) const;
  /// The leftmost match that begins at `from` or behind it. What stands before `from` is seen by \b only.
  std::optional<TextSpan> find(std::size_t pattern, std::string_view text, std::size_t from) const;
  /// A text that goes on: the first place at or behind `from` where what stands there may be the beginning of a match
  /// of any pattern, or of a longer one; text.size() when there is none. Matches that begin before it are what they
  /// will always be, and no other will begin there. Never more than the longest bytes_max() before the end.
  std::size_t first_open(std::string_view text, std::size_t from) const;

 private:
  struct State;
  explicit TextRules(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

/// The next character's place; text.size() behind the last one.
std::size_t next_character(std::string_view text, std::size_t at);

}  // namespace tidegate
