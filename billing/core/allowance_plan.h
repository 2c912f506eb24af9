#pragma once

#include <string_view>
#include <vector>

#include "billing/core/allowance.h"

/// Which allowance plans there may be at once, and which one a request falls under.
namespace tidegate::billing {

/// Refuses what check_allowance() refuses, and two plans that would meet on one request with nothing to choose between
/// them: same currency, same tenant and model (or both "everyone" and "every model"), and times that overlap.
/// Fails: invalid_argument/bad_allowance.
Status check_plans(const std::vector<AllowancePlan>& plans);

/// The one plan of a request: of those for its currency, tenant and model at the instant that decided its price, a tenant's
/// own before everyone's, then a model's own before every model's. nullptr: none.
const AllowancePlan* plan_of(const std::vector<AllowancePlan>& plans, std::string_view currency, std::string_view tenant,
                             std::string_view model, Wall priced_at);

/// Publishing a plan again: what is to be added, and whose end moves. A plan is known by name, tenant, model, currency and
/// effective_from; its content does not change. A new one may not begin before `now`: usage already posted was charged
/// without it.
struct AllowanceEnd {
  std::int64_t id = 0;
  std::optional<Wall> effective_to;
};
struct AllowancePublication {
  std::vector<AllowancePlan> add;
  std::vector<AllowanceEnd> ends;
  int unchanged = 0;
};
/// Fails: invalid_argument/bad_allowance.
Result<AllowancePublication> plan_allowances(const std::vector<AllowancePlan>& published, std::vector<AllowancePlan> wanted,
                                             Wall now);

}  // namespace tidegate::billing
