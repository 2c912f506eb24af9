#include "base/price/modifier.h"

#include <fmt/format.h>

#include <charconv>
#include <numeric>

#include "base/core/check.h"

namespace tidegate::price {

namespace {

std::optional<std::int64_t> whole(std::string_view text) {
  std::int64_t out = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool is_whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && out >= 0;
  return is_whole ? std::optional(out) : std::nullopt;
}

Ratio reduced(std::int64_t num, std::int64_t den) {
  const std::int64_t common = std::gcd(num, den);
  return {num / common, den / common};
}

}  // namespace

Result<Ratio> Ratio::parse(std::string_view text) {
  auto refuse = [&](std::string_view why) {
    return fail(Code::kInvalidArgument, "bad_ratio",
                fmt::format("\"{}\" {}; write \"9/10\" or \"0.9\"", text, why), "factor");
  };
  std::optional<std::int64_t> num, den;
  if (const auto slash = text.find('/'); slash != text.npos) {
    num = whole(text.substr(0, slash));
    den = whole(text.substr(slash + 1));
  } else if (const auto decimal = Rate::parse(text); decimal) {
    num = decimal->micro_per_million();
    den = 1'000'000;
  }
  if (!num || !den) return refuse("is not a factor");
  if (*den == 0) return refuse("divides by zero");
  const Ratio ratio = reduced(*num, *den);
  if (ratio.num > kRatioTermMax || ratio.den > kRatioTermMax) {
    return refuse(fmt::format("has a term above {}", kRatioTermMax));
  }
  if (ratio.num > kRatioMost * ratio.den) return refuse(fmt::format("is more than {}", kRatioMost));
  return ratio;
}

std::string Ratio::to_string() const {
  return fmt::format("{}/{}", num, den);
}

Ratio operator*(Ratio a, Ratio b) {
  // Crosswise first: the factors of one promotion often cancel those of another.
  const Ratio x = reduced(a.num, b.den);
  const Ratio y = reduced(b.num, a.den);
  Ratio out;
  TG_CHECK(!__builtin_mul_overflow(x.num, y.num, &out.num));
  TG_CHECK(!__builtin_mul_overflow(x.den, y.den, &out.den));
  return out;
}

Money scaled(Money amount, Ratio factor) {
  if (factor.is_one()) return amount;
  if (amount.is_negative()) return -scaled(-amount, factor);
  // (Q den + R) num / den = Q num + R num / den: the product of all three could pass 128 bits, its parts
  // cannot.
  const Int128 rest = amount.pico() % factor.den * factor.num;
  Int128 pico = amount.pico() / factor.den * factor.num + rest / factor.den;
  const Int128 twice = 2 * (rest % factor.den);
  if (twice > factor.den || (twice == factor.den && pico % 2 != 0)) ++pico;
  return Money::from_pico(pico);
}

}  // namespace tidegate::price
