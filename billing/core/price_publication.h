#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "base/price/price_book.h"

/// Decides what publishing a price file means, before anything is written.
namespace tidegate::billing {

struct PriceEnd {
  std::int64_t id = 0;
  std::optional<Wall> effective_to;
};

struct PricePlan {
  std::vector<price::Calendar> calendars;   ///< to add, with their versions
  std::vector<price::PriceVersion> add;     ///< id 0; schedules name calendar versions
  std::vector<PriceEnd> ends;               ///< published versions whose end moves
  int unchanged = 0;
};

/// `published` is what is in force or scheduled or past, with all calendar versions. A version is recognised by (book,
/// model, currency, region, pool, effective_from). The same content is left alone; another end is accepted while both
/// ends lie beyond `now + lead`; other content under the same identity is refused. A new version that would take over
/// from one in force starts at `now + lead` at the earliest, so that requests admitted under the old price have ended.
/// Fails: invalid_argument/bad_price.
Result<PricePlan> plan_publication(const price::PriceBook& published, std::vector<price::PriceVersion> versions,
                                   std::vector<price::Calendar> calendars, Wall now, Duration lead);

/// Text that is equal exactly when two versions are the same offer (the id is left out). Hashed when stored.
std::string canonical_text(const price::PriceVersion& version);

}  // namespace tidegate::billing
