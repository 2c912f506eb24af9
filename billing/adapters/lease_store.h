#pragma once

#include <cstdint>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/money.h"
#include "base/core/result.h"

/// Lives of gateways and the money they hold. Everything runs in the caller's transaction.
/// Locks are taken in the order epoch, wallet, lease, cap period, cap lease, here and when usage is posted.
namespace tidegate::billing {

struct OpenEpoch {
  std::string gateway;
  Uuid boot;  ///< random per process start; the same boot gets the same epoch again
  std::string region;
};
struct OpenedEpoch {
  std::int64_t epoch = 0;
  struct Unclosed {
    std::int64_t epoch = 0;
    std::int64_t applied_through = 0;
    std::string receipt_link;  ///< of the last receipt applied; empty = none
  };
  std::vector<Unclosed> unclosed;  ///< earlier ones, ascending
};
OpenedEpoch open_epoch(pqxx::work& tx, const OpenEpoch& request, Wall now);

/// Returns what its leases still hold to the wallets. Closing twice does nothing.
/// Fails: not_found/unknown_epoch, failed_precondition/sequence_gap (`last_sequence` is not what was applied).
Status close_epoch(pqxx::work& tx, const std::string& gateway, std::int64_t epoch, std::int64_t last_sequence, Wall now);

struct LeaseRow {
  LeaseId id;
  WalletId wallet;
  Money amount;   ///< granted less returned
  Money granted;  ///< by this call; negative for a return
  Wall expires;
  Money wallet_available;  ///< after this call
};

struct AcquireLease {
  std::string gateway;
  std::int64_t epoch = 0;
  WalletId wallet;
  Money want, least;
  Uuid grant;        ///< the caller's: the same grant moves money once
  LeaseId new_lease; ///< id in case the epoch has none for this wallet yet
  Wall expires;      ///< the lease's new end
};
/// Fails: not_found/{unknown_epoch, unknown_wallet}, failed_precondition/epoch_closed,
/// resource_exhausted/insufficient_balance, invalid_argument/{bad_amount, grant_differs}.
Result<LeaseRow> acquire_lease(pqxx::work& tx, const AcquireLease& request, Wall now);

struct ReturnLease {
  std::string gateway;
  std::int64_t epoch = 0;
  LeaseId lease;
  Money amount;
  Uuid return_id;
};
/// Fails: not_found/unknown_lease, failed_precondition/{lease_closed, lease_overdrawn},
/// invalid_argument/{bad_amount, return_differs}.
Result<LeaseRow> return_lease(pqxx::work& tx, const ReturnLease& request, Wall now);

}  // namespace tidegate::billing
