#include "worker/engine/grammar/number_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>
#include <tuple>

#include "worker/engine/grammar/json_rules.h"

namespace tidegate::worker::grammar {
namespace {

int compare_magnitude(const Decimal& a, const Decimal& b) {
  if (a.integer.size() != b.integer.size()) return a.integer.size() < b.integer.size() ? -1 : 1;
  if (a.integer != b.integer) return a.integer < b.integer ? -1 : 1;
  if (a.fraction == b.fraction) return 0;  // trailing zeros are stripped, so text order is number order
  return a.fraction < b.fraction ? -1 : 1;
}

bool zeros_from(const std::string& digits, std::size_t at) {
  return at >= digits.size() || digits.find_first_not_of('0', at) == std::string::npos;
}

char digit_at(const std::string& digits, std::size_t at) { return at < digits.size() ? digits[at] : '0'; }

// The numbers without sign between two bounds. A state knows whether the digits so far equal those of either bound.
class Magnitudes {
 public:
  Magnitudes(AutomatonBuilder& builder, Bound low, std::optional<Bound> high, bool integer, NodeId to)
      : b_(builder), low_(std::move(low)), high_(std::move(high)), integer_(integer), to_(to) {}

  void add(NodeId from) {
    const std::size_t longest =
        high_ ? std::min<std::size_t>(high_->at.integer.size(), kIntegerDigitsMax) : kIntegerDigitsMax;
    for (std::size_t length = low_.at.integer.size(); length <= longest; ++length) {
      length_ = length;
      memo_.clear();
      const bool on_low = length == low_.at.integer.size();
      const bool on_high = high_ && length == high_->at.integer.size();
      add_integer_digit(from, 0, on_low, on_high);
    }
  }

 private:
  template <typename Visit>
  static void each_digit(char first, char last, bool on_low, char low, bool on_high, char high, Visit visit) {
    for (char digit = std::max(first, on_low ? low : '0'); digit <= std::min(last, on_high ? high : '9'); ++digit) {
      visit(digit, on_low && digit == low, on_high && digit == high);
    }
  }

  void add_integer_digit(NodeId from, std::size_t at, bool on_low, bool on_high) {
    const char low = digit_at(low_.at.integer, at);
    const char high = high_ ? digit_at(high_->at.integer, at) : '9';
    const char first = at == 0 && length_ > 1 ? '1' : '0';
    each_digit(first, '9', on_low, low, on_high, high, [&](char digit, bool still_low, bool still_high) {
      const bool last = at + 1 == length_;
      auto& states = last ? fractions_ : memo_;
      const auto key = std::tuple(last ? 0 : at + 1, still_low, still_high);
      const auto [found, is_new] = states.try_emplace(key, 0);
      if (is_new) found->second = b_.node();
      const NodeId next = found->second;
      b_.edge(from, digit, next);
      if (!is_new) return;
      if (last) {
        add_fraction(next, 0, still_low, still_high);
      } else {
        add_integer_digit(next, at + 1, still_low, still_high);
      }
    });
  }

  bool may_end(std::size_t fraction_digits, bool on_low, bool on_high) const {
    if (on_low && !(zeros_from(low_.at.fraction, fraction_digits) && low_.inclusive)) return false;
    return !on_high || !zeros_from(high_->at.fraction, fraction_digits) || high_->inclusive;
  }

  // `at` fraction digits are written.
  void add_fraction(NodeId node, std::size_t at, bool on_low, bool on_high) {
    if (may_end(at, on_low, on_high)) b_.empty(node, to_);
    if (integer_ || at == kFractionDigitsMax) return;
    NodeId from = node;
    if (at == 0) {
      from = b_.node();
      b_.edge(node, '.', from);
    }
    const char low = digit_at(low_.at.fraction, at);
    const char high = high_ ? digit_at(high_->at.fraction, at) : '9';
    each_digit('0', '9', on_low, low, on_high, high, [&](char digit, bool still_low, bool still_high) {
      const auto [found, is_new] = fractions_.try_emplace(std::tuple(at + 1, still_low, still_high), 0);
      if (is_new) found->second = b_.node();
      const NodeId next = found->second;
      b_.edge(from, digit, next);
      if (is_new) add_fraction(next, at + 1, still_low, still_high);
    });
  }

  using States = std::map<std::tuple<std::size_t, bool, bool>, NodeId>;
  AutomatonBuilder& b_;
  Bound low_;
  std::optional<Bound> high_;
  bool integer_;
  NodeId to_;
  std::size_t length_ = 0;
  States memo_;       ///< of one length of the integer part
  States fractions_;  ///< by digits after the point
};

Bound without_sign(Bound bound) {
  bound.at.negative = false;
  return bound;
}

}  // namespace

Result<Decimal> Decimal::of(const json::value& number) {
  Decimal out;
  std::string text = canonical_json(number);
  if (text.starts_with('-')) {
    out.negative = true;
    text.erase(0, 1);
  }
  int exponent = 0;
  if (const std::size_t e = text.find('e'); e != std::string::npos) {
    const char* begin = text.data() + e + 1;
    if (*begin == '+') ++begin;
    std::from_chars(begin, text.data() + text.size(), exponent);
    text.resize(e);
  }
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string digits = text;
  if (point < text.size()) digits.erase(point, 1);
  auto split = static_cast<std::ptrdiff_t>(point) + exponent;
  if (split > kIntegerDigitsMax + 1) {
    digits = "1";
    split = kIntegerDigitsMax + 1;
  }
  if (split < -400) split = -400;
  if (split < 1) digits.insert(0, static_cast<std::size_t>(1 - split), '0');
  const auto whole = static_cast<std::size_t>(std::max<std::ptrdiff_t>(split, 1));
  if (digits.size() < whole) digits.append(whole - digits.size(), '0');
  out.integer = digits.substr(0, whole);
  out.fraction = digits.substr(whole);
  out.integer.erase(0, std::min(out.integer.find_first_not_of('0'), out.integer.size() - 1));
  out.fraction.resize(out.fraction.find_last_not_of('0') + 1);
  if (out.integer.size() > kIntegerDigitsMax) {
    out.integer = "1" + std::string(kIntegerDigitsMax, '0');
    out.fraction.clear();
  }
  if (out.fraction.size() > kFractionDigitsMax) {
    return fail(Code::kInvalidArgument, "schema_unsupported",
                fmt::format("a bound has {} digits after the point; at most {} are supported", out.fraction.size(),
                            kFractionDigitsMax));
  }
  return out;
}

bool Decimal::is_zero() const { return integer == "0" && fraction.empty(); }

int compare(const Decimal& a, const Decimal& b) {
  const bool a_negative = a.negative && !a.is_zero();
  const bool b_negative = b.negative && !b.is_zero();
  if (a_negative != b_negative) return a_negative ? -1 : 1;
  return a_negative ? compare_magnitude(b, a) : compare_magnitude(a, b);
}

void NumberRange::at_least(const Bound& bound) {
  const int order = low ? compare(bound.at, low->at) : 1;
  if (order > 0) {
    low = bound;
  } else if (order == 0) {
    low->inclusive = low->inclusive && bound.inclusive;
  }
}

void NumberRange::at_most(const Bound& bound) {
  const int order = high ? compare(bound.at, high->at) : -1;
  if (order < 0) {
    high = bound;
  } else if (order == 0) {
    high->inclusive = high->inclusive && bound.inclusive;
  }
}

void add_number_range(AutomatonBuilder& builder, NodeId from, const NumberRange& range, NodeId to) {
  const Bound zero;
  const int low_sign = range.low ? compare(range.low->at, zero.at) : -1;
  const int high_sign = range.high ? compare(range.high->at, zero.at) : 1;
  if (range.low && range.high) {
    const int order = compare(range.low->at, range.high->at);
    if (order > 0 || (order == 0 && !(range.low->inclusive && range.high->inclusive))) return;
  }
  if (high_sign >= 0) {
    const Bound low = low_sign >= 0 ? *range.low : zero;
    std::optional<Bound> high;
    if (range.high) high = without_sign(*range.high);
    Magnitudes(builder, without_sign(low), high, range.integer, to).add(from);
  }
  if (low_sign < 0) {
    const Bound low = high_sign < 0 ? without_sign(*range.high) : Bound{.at = {}, .inclusive = false};
    std::optional<Bound> high;
    if (range.low) high = without_sign(*range.low);
    const NodeId minus = builder.node();
    builder.edge(from, '-', minus);
    Magnitudes(builder, low, high, range.integer, to).add(minus);
  }
}

}  // namespace tidegate::worker::grammar
