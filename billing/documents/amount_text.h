#pragma once

#include <string>

#include "base/core/money.h"

namespace tidegate::billing {

/// "1,234,567.5" with at least `decimals_min` decimals, and as many more as are needed to be exact.
std::string amount_text(Money amount, int decimals_min);
/// "1,234,567".
std::string count_text(Int128 count);

}  // namespace tidegate::billing
