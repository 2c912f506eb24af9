#pragma once

#include <cstdint>
#include <string>

namespace tidegate::worker {

/// What JSON allows between its tokens.
inline bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// Follows one JSON value byte by byte, as a model writes it: says where it ends, and the first byte that cannot belong to
/// it. Keeps nothing of the value but the brackets that are open.
class JsonScanner {
 public:
  /// Brackets inside of brackets; deeper ones are an error.
  static constexpr std::size_t kDepthMax = 64;

  enum class Step : std::uint8_t {
    kMore,        ///< the value goes on
    kDone,        ///< this byte was its last
    kDoneBefore,  ///< the byte before was its last: only numbers end so
    kBad,         ///< this byte cannot stand here
  };

  /// Nothing may be fed after kDone, kDoneBefore or kBad. Blanks before the value belong to it.
  Step feed(char c);

 private:
  enum class At : std::uint8_t {
    kValue,
    kValueOrEnd,    ///< behind [
    kKeyOrEnd,      ///< behind {
    kKey,           ///< behind a comma in an object
    kColon,
    kCommaOrEnd,
    kString,
    kEscape,
    kHex,
    kWord,          ///< in true, false or null
    kMinus,
    kZero,
    kDigits,
    kPoint,
    kFraction,
    kExponent,      ///< behind e
    kSign,          ///< behind e and its sign
    kPower,         ///< digits of the exponent
  };

  Step begin_value(char c);
  Step in_number(char c);
  Step end_value();
  Step close(char c);

  At at_ = At::kValue;
  bool is_key_ = false;     ///< the string is a member's name
  int hex_left_ = 0;
  const char* word_ = "";   ///< what is left of true, false or null: a view of a literal
  std::string open_;        ///< brackets, outermost first
};

}  // namespace tidegate::worker
