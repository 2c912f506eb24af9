#include "billing/core/tax_rate.h"

#include <fmt/format.h>

#include <charconv>
#include <numeric>
#include <optional>

#include "base/core/check.h"

namespace tidegate::billing {

namespace {

constexpr std::int64_t kDenominatorMax = 1'000'000;
constexpr int kAmountDigitsMax = 20;

std::unexpected<Error> bad(std::string_view text) {
  return fail(
      Code::kInvalidArgument, "bad_tax_rate",
      fmt::format(
          "tax rate \"{}\" must be a share from 0 to 1 such as 6%, 8.875%, 0.06 or 71/800, whose denominator in "
          "lowest terms is at most {}",
          text, kDenominatorMax),
      "tax_rate");
}

std::optional<std::int64_t> whole(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.size() > 12 || text.front() == '-' || error != std::errc() ||
      end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

Result<TaxRate> TaxRate::of(std::int64_t num, std::int64_t den) {
  if (num < 0 || den < 1 || num > den) return bad(fmt::format("{}/{}", num, den));
  const std::int64_t divisor = std::gcd(num, den);
  if (den / divisor > kDenominatorMax) return bad(fmt::format("{}/{}", num, den));
  return TaxRate{num / divisor, den / divisor};
}

Result<TaxRate> TaxRate::parse(std::string_view text) {
  if (text.empty()) return TaxRate();
  if (const auto slash = text.find('/'); slash != text.npos) {
    const auto above = whole(text.substr(0, slash)), below = whole(text.substr(slash + 1));
    if (!above || !below) return bad(text);
    return of(*above, *below);
  }
  std::string_view digits = text;
  const bool is_percent = digits.ends_with('%');
  if (is_percent) digits.remove_suffix(1);
  const auto amount = Money::parse(digits);
  const Int128 one = Money::parse(is_percent ? "100" : "1")->pico();
  if (!amount || amount->is_negative() || amount->pico() > one) return bad(text);
  return of(static_cast<std::int64_t>(amount->pico()), static_cast<std::int64_t>(one));
}

std::string TaxRate::to_string() const {
  // A percentage of at most ten decimals, when the denominator has no prime but 2 and 5.
  for (int decimals = 0; decimals <= 10; ++decimals) {
    const Int128 scaled = Int128(num) * 100 * power_of_ten(decimals);
    if (scaled % den == 0) return Money::from_pico(scaled / den * power_of_ten(12 - decimals)).to_string() + "%";
  }
  return fmt::format("{}/{}", num, den);
}

Money tax_of(Money amount, const TaxRate& rate, int decimals) {
  TG_CHECK(decimals >= 0 && decimals <= 12);
  // amount x num stays below 10^38.
  const Money limit = Money::from_pico(power_of_ten(kAmountDigitsMax + 12));
  TG_CHECK(amount < limit && -limit < amount && rate.num <= rate.den && rate.den <= kDenominatorMax);
  const Int128 unit = power_of_ten(12 - decimals);
  return Money::from_pico(div_half_even(amount.pico() * rate.num, unit * rate.den) * unit);
}

}  // namespace tidegate::billing
