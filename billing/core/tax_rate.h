#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/money.h"
#include "base/core/result.h"

namespace tidegate::billing {

/// A share as an exact fraction: 8.875 % is 71/800 and a third is 1/3, neither of which a float or a fixed number of
/// decimals need hold. Always in lowest terms, 0 <= num <= den <= 1,000,000.
struct TaxRate {
  std::int64_t num = 0;
  std::int64_t den = 1;

  /// "6%", "8.875%", "0.06" or "71/800"; "" is none. Fails: invalid_argument/bad_tax_rate.
  static Result<TaxRate> parse(std::string_view text);
  /// From a stored pair. Fails: invalid_argument/bad_tax_rate.
  static Result<TaxRate> of(std::int64_t num, std::int64_t den);

  bool is_zero() const { return num == 0; }
  /// "6%", "8.875%"; "1/3" where no decimal is exact.
  std::string to_string() const;
  bool operator==(const TaxRate&) const = default;
};

/// Tax on an amount, rounded once, half to even, at `decimals` places. |amount| < 10^20.
Money tax_of(Money amount, const TaxRate& rate, int decimals);

}  // namespace tidegate::billing
