#pragma once

#include <string_view>

#include "base/core/result.h"

namespace tidegate::billing {

/// Decimals of the currency's smallest unit by ISO 4217: USD 2, CNY 2, JPY 0, KWD 3. A currency that is not in the
/// table is refused, since a guessed unit would round somebody's invoice wrongly.
/// Fails: invalid_argument/unknown_currency.
Result<int> minor_unit_decimals(std::string_view currency);

}  // namespace tidegate::billing
