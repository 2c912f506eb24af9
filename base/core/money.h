#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace tidegate {

using Int128 = __int128;

/// 10^exponent, exponent 0 to 38.
constexpr Int128 power_of_ten(int exponent) {
  Int128 value = 1;
  for (int i = 0; i < exponent; ++i) value *= 10;
  return value;
}

/// An exact amount in pico-units (1e-12 of the currency unit). Prices are integer micro-units per million tokens,
/// so tokens x price is an integer number of pico-units: no division, no rounding (research: nano-units cannot hold
/// 3.625 nano-USD a token). Range: +-10^26 currency units, that of numeric(38,12). The currency travels beside it.
/// Overflow of that range aborts: every input is bounded long before.
class Money {
 public:
  constexpr Money() = default;
  static constexpr Money from_pico(Int128 pico) { return Money(pico); }
  /// "12", "-0.003625"; at most twelve decimals and 26 integer digits. Fails: invalid_argument/bad_amount.
  static Result<Money> parse(std::string_view text);

  constexpr Int128 pico() const { return pico_; }
  constexpr bool is_zero() const { return pico_ == 0; }
  constexpr bool is_negative() const { return pico_ < 0; }
  /// Shortest exact decimal: "0", "1.5", "-0.000000000001".
  std::string to_string() const;
  /// For metrics and charts only; never feed it back.
  double to_double_approx() const;

  Money operator+(Money other) const;
  Money operator-(Money other) const;
  Money operator-() const;
  Money& operator+=(Money other) { return *this = *this + other; }
  Money& operator-=(Money other) { return *this = *this - other; }
  /// Exact product with a count.
  Money times(std::int64_t count) const;
  constexpr auto operator<=>(const Money&) const = default;

 private:
  constexpr explicit Money(Int128 pico) : pico_(pico) {}
  Int128 pico_ = 0;
};

/// A rate in micro-units of a currency per one million tokens ("0.003625" per 1M = 3625).
class Rate {
 public:
  constexpr Rate() = default;
  static constexpr Rate from_micro_per_million(std::int64_t micro) { return Rate(micro); }
  /// Non-negative, at most six decimals. Fails: invalid_argument/bad_rate.
  static Result<Rate> parse(std::string_view text);

  constexpr std::int64_t micro_per_million() const { return micro_; }
  std::string to_string() const;
  /// tokens x micro/1M = pico: exact.
  Money amount(std::int64_t tokens) const;
  constexpr auto operator<=>(const Rate&) const = default;

 private:
  constexpr explicit Rate(std::int64_t micro) : micro_(micro) {}
  std::int64_t micro_ = 0;
};

/// Quotient of two integers rounded half to even. denominator > 0.
Int128 div_half_even(Int128 numerator, Int128 denominator);

std::string int128_to_string(Int128 value);

}  // namespace tidegate
