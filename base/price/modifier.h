#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/clock.h"
#include "base/core/money.h"
#include "base/core/result.h"

namespace tidegate::price {

/// An exact factor num/den: "75 % off" is 1/4. Kept reduced; num >= 0, den > 0.
struct Ratio {
  std::int64_t num = 1;
  std::int64_t den = 1;

  /// "9/10" or "0.9", reduced. Fails: invalid_argument/bad_ratio (not a number, negative, den = 0, terms
  /// above kRatioTermMax, more than tenfold).
  static Result<Ratio> parse(std::string_view text);
  std::string to_string() const;  ///< "9/10"
  bool is_one() const { return num == den; }
  bool operator==(const Ratio&) const = default;
};

/// Of one factor. Four factors at once stay inside 64 bits, and tenfold four times inside Money.
inline constexpr std::int64_t kRatioTermMax = 10'000;
inline constexpr std::int64_t kRatioMost = 10;
inline constexpr int kModifiersAtOnceMax = 4;

/// Exact, reduced. At most kModifiersAtOnceMax factors may meet.
Ratio operator*(Ratio a, Ratio b);

/// amount x factor, rounded once half to even at a pico. Exact for any amount that prices make of 64-bit
/// counts.
Money scaled(Money amount, Ratio factor);

/// tokens x rate x factor, rounded once: the only rounding in a rated line. The rate is within
/// check_version()'s bound.
inline Money modified_amount(Rate rate, std::int64_t tokens, Ratio factor) {
  return scaled(rate.amount(tokens), factor);
}

/// A promotion, a surcharge or a discount: a factor on every line of the requests it covers. Modifiers that
/// meet multiply as exact rationals, so their order does not matter.
struct Modifier {
  std::int64_t id = 0;  ///< given by billing when published; 0 in files
  std::string name;     ///< "batch-half"
  Ratio factor;
  std::string tenant = {};  ///< "" = everyone
  std::string model = {};   ///< "" = every model
  Wall effective_from = {};
  std::optional<Wall> effective_to = {};  ///< exclusive; nullopt = open

  /// Decided by the price instant of a request, as its version is.
  bool covers(Wall instant) const {
    return instant >= effective_from && (!effective_to || instant < *effective_to);
  }
  bool is_for(std::string_view tenant_of, std::string_view model_of) const {
    return (tenant.empty() || tenant == tenant_of) && (model.empty() || model == model_of);
  }
  bool operator==(const Modifier&) const = default;
};

}  // namespace tidegate::price
