#include "billing/core/rerating.h"

#include "base/price/calendar_month.h"

namespace tidegate::billing {

std::vector<Money> rerating_postings(Money original, Money corrected) {
  if (original == corrected) return {};
  std::vector<Money> out;
  if (!original.is_zero()) out.push_back(-original);
  if (!corrected.is_zero()) out.push_back(corrected);
  return out;
}

Result<ChargePeriod> charge_period(std::string_view billing_zone, Wall completed, Wall posted) {
  TG_ASSIGN(const auto month, price::month_of(billing_zone, posted));
  return ChargePeriod{month.label, std::chrono::floor<std::chrono::hours>(completed), completed < month.begin};
}

}  // namespace tidegate::billing
