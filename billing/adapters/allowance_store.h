#pragma once

#include <pqxx/transaction>
#include <vector>

#include "billing/core/allowance_plan.h"
#include "billing/core/posting.h"

namespace tidegate::billing {

std::vector<AllowancePlan> load_allowances(pqxx::work& tx);

/// Publishes plans (tenants: names or ids) whole or not at all, under the lock of price publications.
/// Fails: as find_tenant and plan_allowances().
Result<AllowancePublication> publish_allowances(pqxx::work& tx, std::vector<AllowancePlan> wanted, Wall now);

/// Gives back what plans take off the requests of a batch: adds to `effects` (extra lines) and to the months' counts. The
/// month is that of completion on the tenant's calendar; requests count in the order of the batch. Wallets are locked by
/// the caller, which is what keeps two batches from counting at once. Nothing is asked when there are no plans.
Status apply_allowances(pqxx::work& tx, const std::vector<AllowancePlan>& plans, const std::vector<RatedEvent>& events,
                        BatchEffects& effects);

}  // namespace tidegate::billing
