#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "gateway/guard/guard.h"

namespace tidegate::gateway {

/// What is handed over of `piece`, the one at `place` in the check: its decided bytes, with spans replaced.
std::string decided_text(const GuardVerdict& verdict, std::size_t place, std::string_view piece);

/// JSON, or what should be, with its escapes of plain characters written out ("\u0062" is b, "\/" is /): parsers read
/// the two alike, and patterns must, too. Never longer; escapes that JSON needs stay, and so does everything else.
std::string spelled_out(std::string_view json);

/// spelled_out() of a text that comes in pieces: however it is cut, the same comes out. An escape that has only begun
/// waits, twelve bytes at most.
class SpellingStream {
 public:
  std::string take(std::string_view piece);
  /// The text is over: what waited, as it stands.
  std::string finish();
  bool is_waiting() const { return !held_.empty(); }
  void clear() { held_.clear(); }

 private:
  std::string held_;
};

/// What an answer's guard has to fit a check: everything that a verdict from outside may get wrong. Offsets within their
/// pieces, between characters and in order; replacements of valid UTF-8 within their limits; a last piece decided whole
/// unless something is denied; never more undecided than three windows.
/// Fails: internal/bad_verdict naming what is wrong, never a text.
Status check_verdict(const GuardVerdict& verdict, const GuardCheck& check);

}  // namespace tidegate::gateway
