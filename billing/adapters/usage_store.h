#pragma once

#include <cstdint>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/ids.h"
#include "base/core/result.h"
#include "billing/adapters/price_store.h"
#include "billing/adapters/usage_dimensions.h"
#include "billing/core/usage_event.h"

namespace tidegate::billing {

struct UsageBatch {
  std::string gateway;
  std::int64_t epoch = 0;
  std::vector<UsageEvent> events;
};

struct AppliedBatch {
  std::int64_t applied_through = 0;
  std::size_t applied = 0;     ///< events this call added
  std::size_t duplicates = 0;  ///< events that were there already
  Duration oldest{0};          ///< from the end of the oldest event added to now; never negative
};

/// What does not come from the batch itself.
struct UsageContext {
  PriceCache* prices = nullptr;
  UsageDimensions* dimensions = nullptr;
  IdSource* ids = nullptr;  ///< for ledger transactions
  std::string tzdata;       ///< version of the zone data, kept on every line
  Wall now;
};

/// Stores, rates, posts and rolls up in the caller's transaction: all of the batch or nothing. A batch that
/// was applied before is acknowledged again. Fails: not_found/unknown_epoch,
/// failed_precondition/{epoch_closed, sequence_gap, lease_overdrawn}, invalid_argument/{bad_batch, bad_event,
/// contradictory_event, unknown_principal, unknown_lease, unknown_price, price_mismatch, price_not_in_force,
/// rating_differs, clock_error, id_expired, id_in_future}, aborted/concurrent_event (send the same again).
Result<AppliedBatch> apply_usage(pqxx::work& tx, const UsageBatch& batch, const UsageContext& context);

}  // namespace tidegate::billing
