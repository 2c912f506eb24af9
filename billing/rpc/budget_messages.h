#pragma once

#include "billing/adapters/alert_store.h"
#include "billing/adapters/cap_lease_store.h"
#include "billing/adapters/cap_store.h"
#include "billing/adapters/grant_store.h"
#include "tidegate/v1/billing.pb.h"
#include "tidegate/v1/budget.pb.h"

/// Rows of caps <-> proto/tidegate/v1.
namespace tidegate::billing {

v1::Cap to_message(const CapRow& row);
v1::CapSpend to_message(const CapSpendRow& row);
v1::Grant to_message(const GrantRow& row);
v1::Alert to_message(const AlertRow& row);
/// As gateways are told.
v1::CapRule rule_message(const CapRow& row);
v1::Lease cap_lease_message(const CapLeaseRow& row);

}  // namespace tidegate::billing
