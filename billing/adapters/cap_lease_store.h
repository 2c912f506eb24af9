#pragma once

#include <cstdint>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "billing/adapters/lease_store.h"
#include "billing/core/posting.h"

/// Leases of caps: as those of wallets (lease_store.h), out of a cap's period instead. Everything runs in the
/// caller's transaction, after the locks of wallets and their leases: epoch, wallet, lease, cap period, cap
/// lease.
namespace tidegate::billing {

struct CapLeaseRow {
  LeaseRow lease;            ///< `wallet` is nil; `wallet_available` is what the period has left
  std::optional<Wall> ends;  ///< of the period
};

struct AcquireCapLease {
  std::string gateway;
  std::int64_t epoch = 0;
  Uuid cap;
  Uuid end_user;  ///< nil but for the cap of every end user
  Money want, least;
  Uuid grant;
  LeaseId new_lease;
  Uuid new_period;
  Wall at;       ///< an instant of the period that is meant
  Wall expires;  ///< the lease's new end
};
/// The current period is made when this is its first lease, in the same transaction: nobody is admitted
/// before it counts. Fails: not_found/{unknown_epoch, unknown_cap}, failed_precondition/epoch_closed,
/// resource_exhausted/budget_exceeded (its text names the cap, the limit and the instant of the reset),
/// invalid_argument/{bad_amount, grant_differs, bad_end_user}.
Result<CapLeaseRow> acquire_cap_lease(pqxx::work& tx, const AcquireCapLease& request);

/// Fails as return_lease.
Result<CapLeaseRow> return_cap_lease(pqxx::work& tx, const ReturnLease& request);

/// Part of close_epoch: gives back what the epoch's leases hold.
void close_cap_leases(pqxx::work& tx, const std::string& gateway, std::int64_t epoch);

/// Part of apply_usage: charges each event to every lease it names. Fails:
/// failed_precondition/lease_overdrawn, invalid_argument/unknown_lease.
Status charge_caps(pqxx::work& tx, const std::string& gateway, std::int64_t epoch,
                   const std::vector<RatedEvent>& events);

}  // namespace tidegate::billing
