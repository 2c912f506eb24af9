#include "billing/core/currency.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

namespace tidegate::billing {

namespace {

constexpr std::array<std::string_view, 9> kNone = {"CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"};
constexpr std::array<std::string_view, 6> kThree = {"BHD", "IQD", "JOD", "KWD", "OMR", "TND"};
constexpr std::array<std::string_view, 36> kTwo = {"AED", "ARS", "AUD", "BRL", "CAD", "CHF", "CNY", "COP", "CZK",
                                                   "DKK", "EGP", "EUR", "GBP", "HKD", "HUF", "IDR", "ILS", "INR",
                                                   "KZT", "MAD", "MOP", "MXN", "MYR", "NOK", "NZD", "PHP", "PKR",
                                                   "PLN", "RON", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "USD"};

template <typename Names>
bool holds(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Result<int> minor_unit_decimals(std::string_view currency) {
  if (holds(kTwo, currency)) return 2;
  if (holds(kNone, currency)) return 0;
  if (holds(kThree, currency)) return 3;
  return fail(Code::kInvalidArgument, "unknown_currency",
              fmt::format("the smallest unit of currency \"{}\" is not known, so it cannot be invoiced; add it to "
                          "billing/core/currency.cc from ISO 4217",
                          currency),
              "currency");
}

}  // namespace tidegate::billing
