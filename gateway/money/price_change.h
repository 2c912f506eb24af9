#pragma once

#include <optional>

#include "base/core/clock.h"
#include "base/price/price_book.h"

namespace tidegate::gateway {

/// Until when what `key` pays by `version` at `now` stays as it is: the end of the window or of the version, or the edge
/// of a modifier, whichever comes first. nullopt: nothing is known to change it. The book may change at any time.
std::optional<Wall> next_price_change(const price::PriceBook& book, const price::PriceVersion& version,
                                      const price::PriceKey& key, Wall now);

}  // namespace tidegate::gateway
