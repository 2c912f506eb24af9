#include "base/price/rounding.h"

#include "base/core/check.h"

namespace tidegate::price {

Money round_half_even(Money exact, int decimals) {
  TG_CHECK(decimals >= 0 && decimals <= 12);
  const Int128 unit = power_of_ten(12 - decimals);
  return Money::from_pico(div_half_even(exact.pico(), unit) * unit);
}

Money share_half_even(Money amount, std::int64_t rate_micro, int decimals) {
  TG_CHECK(decimals >= 0 && decimals <= 12);
  // 10^26 units in pico are 10^38 = nearly all of Int128: a share is taken of invoices, far below 10^20 units.
  TG_CHECK(amount < Money::from_pico(power_of_ten(32)) && Money::from_pico(-power_of_ten(32)) < amount);
  TG_CHECK(rate_micro >= 0 && rate_micro <= 1'000'000);
  const Int128 unit = power_of_ten(12 - decimals);
  return Money::from_pico(div_half_even(amount.pico() * rate_micro, unit * 1'000'000) * unit);
}

}  // namespace tidegate::price
