#include "base/core/money.h"

#include <algorithm>

#include "base/core/check.h"

namespace tidegate {

namespace {

constexpr int kPicoDigits = 12;
constexpr int kMicroDigits = 6;

constexpr Int128 kPicoPerUnit = power_of_ten(kPicoDigits);
constexpr Int128 kPicoLimit = power_of_ten(38);  // numeric(38,12)

/// Fixed-point decimal with `scale` digits after the point, or nothing.
bool parse_fixed(std::string_view text, int scale, int integer_digits_max, Int128& out) {
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const auto point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view fraction = point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  if (whole.empty() || static_cast<int>(whole.size()) > integer_digits_max) return false;
  if (point != std::string_view::npos && fraction.empty()) return false;
  if (static_cast<int>(fraction.size()) > scale) return false;
  Int128 value = 0;
  for (const std::string_view part : {whole, fraction}) {
    for (const char c : part) {
      if (c < '0' || c > '9') return false;
      value = value * 10 + (c - '0');
    }
  }
  value *= power_of_ten(scale - static_cast<int>(fraction.size()));
  out = negative ? -value : value;
  return true;
}

std::string print_fixed(Int128 value, int scale) {
  const bool negative = value < 0;
  std::string digits = int128_to_string(negative ? -value : value);
  if (static_cast<int>(digits.size()) <= scale) digits.insert(0, static_cast<std::size_t>(scale) + 1 - digits.size(), '0');
  const std::size_t whole = digits.size() - static_cast<std::size_t>(scale);
  std::string fraction = digits.substr(whole);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  std::string text = negative ? "-" : "";
  text += digits.substr(0, whole);
  if (!fraction.empty()) text += "." + fraction;
  return text;
}

Int128 in_range(Int128 pico) {
  TG_CHECK(pico > -kPicoLimit && pico < kPicoLimit);
  return pico;
}

}  // namespace

std::string int128_to_string(Int128 value) {
  if (value == 0) return "0";
  const bool negative = value < 0;
  auto rest = negative ? -static_cast<unsigned __int128>(value) : static_cast<unsigned __int128>(value);
  std::string text;
  for (; rest > 0; rest /= 10) text += static_cast<char>('0' + static_cast<int>(rest % 10));
  if (negative) text += '-';
  std::reverse(text.begin(), text.end());
  return text;
}

Int128 div_half_even(Int128 numerator, Int128 denominator) {
  TG_CHECK(denominator > 0);
  Int128 quotient = numerator / denominator;
  Int128 rest = numerator % denominator;
  const int away = rest < 0 ? -1 : 1;
  if (rest < 0) rest = -rest;
  const Int128 gap = denominator - rest;
  if (rest > gap || (rest == gap && quotient % 2 != 0)) quotient += away;
  return quotient;
}

Result<Money> Money::parse(std::string_view text) {
  Int128 pico = 0;
  if (!parse_fixed(text, kPicoDigits, 26, pico) || pico <= -kPicoLimit || pico >= kPicoLimit) {
    return fail(Code::kInvalidArgument, "bad_amount",
                "'" + std::string(text.substr(0, 64)) + "' is not a decimal amount with at most 12 decimals");
  }
  return Money(pico);
}

std::string Money::to_string() const { return print_fixed(pico_, kPicoDigits); }
double Money::to_double_approx() const { return static_cast<double>(pico_) / static_cast<double>(kPicoPerUnit); }
Money Money::operator+(Money other) const { return Money(in_range(pico_ + other.pico_)); }
Money Money::operator-(Money other) const { return Money(in_range(pico_ - other.pico_)); }
Money Money::operator-() const { return Money(-pico_); }

Money Money::times(std::int64_t count) const {
  Int128 product = 0;
  TG_CHECK(!__builtin_mul_overflow(pico_, static_cast<Int128>(count), &product));
  return Money(in_range(product));
}

Result<Rate> Rate::parse(std::string_view text) {
  Int128 micro = 0;
  if (!parse_fixed(text, kMicroDigits, 12, micro) || micro < 0) {
    return fail(Code::kInvalidArgument, "bad_rate",
                "'" + std::string(text.substr(0, 64)) +
                    "' is not a rate per 1M tokens: zero or more, at most 6 decimals");
  }
  return Rate(static_cast<std::int64_t>(micro));
}

std::string Rate::to_string() const { return print_fixed(micro_, kMicroDigits); }

Money Rate::amount(std::int64_t tokens) const {
  return Money::from_pico(static_cast<Int128>(micro_) * static_cast<Int128>(tokens));
}

}  // namespace tidegate
