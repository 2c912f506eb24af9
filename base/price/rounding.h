#pragma once

#include "base/core/money.h"

namespace tidegate::price {

/// Rounds half to even at `decimals` (0..12) places: done once, where an invoice leaves the exact ledger.
Money round_half_even(Money exact, int decimals);

/// amount x rate (micro-units per unit, 0.06 = 60000), rounded once at `decimals` places. For taxes and shares.
Money share_half_even(Money amount, std::int64_t rate_micro, int decimals);

}  // namespace tidegate::price
