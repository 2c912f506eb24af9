#include "worker/engine/json_scanner.h"

namespace tidegate::worker {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

}  // namespace

JsonScanner::Step JsonScanner::feed(char c) {
  switch (at_) {
    case At::kValue: return is_blank(c) ? Step::kMore : begin_value(c);
    case At::kValueOrEnd:
      if (is_blank(c)) return Step::kMore;
      return c == ']' ? close(c) : begin_value(c);
    case At::kKeyOrEnd:
    case At::kKey:
      if (is_blank(c)) return Step::kMore;
      if (c == '}' && at_ == At::kKeyOrEnd) return close(c);
      if (c != '"') return Step::kBad;
      at_ = At::kString;
      is_key_ = true;
      return Step::kMore;
    case At::kColon:
      if (is_blank(c)) return Step::kMore;
      if (c != ':') return Step::kBad;
      at_ = At::kValue;
      return Step::kMore;
    case At::kCommaOrEnd:
      if (is_blank(c)) return Step::kMore;
      if (c == '}' || c == ']') return close(c);
      if (c != ',') return Step::kBad;
      at_ = open_.back() == '{' ? At::kKey : At::kValue;
      return Step::kMore;
    case At::kString:
      if (c == '\\') at_ = At::kEscape;
      if (static_cast<unsigned char>(c) < 0x20) return Step::kBad;
      if (c != '"') return Step::kMore;
      if (!is_key_) return end_value();
      is_key_ = false;
      at_ = At::kColon;
      return Step::kMore;
    case At::kEscape:
      if (c == 'u') {
        hex_left_ = 4;
        at_ = At::kHex;
        return Step::kMore;
      }
      at_ = At::kString;
      return c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' || c == 't' ? Step::kMore
                                                                                                          : Step::kBad;
    case At::kHex:
      if (!is_hex(c)) return Step::kBad;
      if (--hex_left_ == 0) at_ = At::kString;
      return Step::kMore;
    case At::kWord:
      if (c != *word_) return Step::kBad;
      ++word_;
      return *word_ == '\0' ? end_value() : Step::kMore;
    case At::kMinus:
    case At::kZero:
    case At::kDigits:
    case At::kPoint:
    case At::kFraction:
    case At::kExponent:
    case At::kSign:
    case At::kPower: return in_number(c);
  }
  return Step::kBad;
}

JsonScanner::Step JsonScanner::begin_value(char c) {
  switch (c) {
    case '{':
    case '[':
      if (open_.size() == kDepthMax) return Step::kBad;
      open_.push_back(c);
      at_ = c == '{' ? At::kKeyOrEnd : At::kValueOrEnd;
      return Step::kMore;
    case '"': at_ = At::kString; return Step::kMore;
    case 't': word_ = "rue"; break;
    case 'f': word_ = "alse"; break;
    case 'n': word_ = "ull"; break;
    case '-': at_ = At::kMinus; return Step::kMore;
    case '0': at_ = At::kZero; return Step::kMore;
    default:
      if (!is_digit(c)) return Step::kBad;
      at_ = At::kDigits;
      return Step::kMore;
  }
  at_ = At::kWord;
  return Step::kMore;
}

JsonScanner::Step JsonScanner::in_number(char c) {
  const bool ends_here = at_ == At::kZero || at_ == At::kDigits || at_ == At::kFraction || at_ == At::kPower;
  if (is_digit(c)) {
    if (at_ == At::kZero) return Step::kBad;
    if (at_ == At::kMinus) {
      at_ = c == '0' ? At::kZero : At::kDigits;
    } else if (at_ == At::kPoint) {
      at_ = At::kFraction;
    } else if (at_ == At::kExponent || at_ == At::kSign) {
      at_ = At::kPower;
    }
    return Step::kMore;
  }
  if (c == '.' && (at_ == At::kZero || at_ == At::kDigits)) {
    at_ = At::kPoint;
    return Step::kMore;
  }
  if ((c == 'e' || c == 'E') && ends_here && at_ != At::kPower) {
    at_ = At::kExponent;
    return Step::kMore;
  }
  if ((c == '+' || c == '-') && at_ == At::kExponent) {
    at_ = At::kSign;
    return Step::kMore;
  }
  if (!ends_here) return Step::kBad;
  if (open_.empty()) return Step::kDoneBefore;
  at_ = At::kCommaOrEnd;
  return feed(c);
}

JsonScanner::Step JsonScanner::end_value() {
  if (open_.empty()) return Step::kDone;
  at_ = At::kCommaOrEnd;
  return Step::kMore;
}

JsonScanner::Step JsonScanner::close(char c) {
  if (open_.empty() || open_.back() != (c == '}' ? '{' : '[')) return Step::kBad;
  open_.pop_back();
  return end_value();
}

}  // namespace tidegate::worker
