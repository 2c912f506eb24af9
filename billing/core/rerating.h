#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/money.h"
#include "base/core/result.h"

/// What happens to a charge after the fact: it comes late, or a corrected price or calendar changes it.
namespace tidegate::billing {

/// Amounts to post so that a request that was charged `original` costs `corrected`: the original taken back whole, then
/// the new charge, so that both ratings stay on the books. Nothing when they are equal: rating anew twice posts once.
std::vector<Money> rerating_postings(Money original, Money corrected);

/// Where a charge stands in the bills of a tenant.
struct ChargePeriod {
  std::string month;           ///< "2026-10" on the tenant's calendar: the one open when it was posted
  Wall hour;                   ///< UTC, of completion
  bool is_correction = false;  ///< the request completed before that month
};
/// Usage is rated by the time it completed and charged in the month it is posted in: an invoice once issued does not
/// change. Fails: invalid_argument/bad_price for an unknown zone.
Result<ChargePeriod> charge_period(std::string_view billing_zone, Wall completed, Wall posted);

}  // namespace tidegate::billing
