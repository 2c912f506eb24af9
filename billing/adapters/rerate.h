#pragma once

#include <map>
#include <pqxx/transaction>
#include <string>

#include "billing/adapters/usage_store.h"

/// Rating stored usage again after a price or a calendar was corrected. The first ratings stay; a later one voids the
/// one before, with a reversing transaction and a new one, so that the net posting is new less old, exactly.
namespace tidegate::billing {

struct RerateRequest {
  Uuid run;           ///< the caller's: the same id goes on where it stopped, and changes nothing once it is finished
  Wall from, to;      ///< of completion, half-open
  std::string model;  ///< empty: every model
  bool allow_debit = false;  ///< without it, an event that would become dearer is left as it is
  std::string actor, note;
};

struct RerateTotals {
  Money before, after;  ///< of the events that changed
};
struct RerateProgress {
  bool is_finished = false;
  std::int64_t scanned = 0, changed = 0;
  std::int64_t dearer = 0;                     ///< left alone: they would cost more
  std::int64_t unpriced = 0;                   ///< left alone: no price covers them now
  std::map<std::string, RerateTotals> totals;  ///< by currency
  Uuid cursor;                                 ///< the last event looked at
};

inline constexpr std::size_t kRerateBatch = 1000;

/// Notes the run, or finds it. Fails: invalid_argument/bad_range, already_exists/run_differs.
Result<RerateProgress> start_rerate(pqxx::work& tx, const RerateRequest& request, Wall now);
/// The next kRerateBatch events of the run, with progress, in one transaction; call until it is finished. Runs take
/// turns. Fails: failed_precondition/check_violation (a debit that the wallet cannot bear).
Result<RerateProgress> rerate_step(pqxx::work& tx, const RerateRequest& request, const UsageContext& context);
/// The same without writing anything, from `before` on.
Result<RerateProgress> rerate_dry_step(pqxx::work& tx, const RerateRequest& request, const RerateProgress& before,
                                       const UsageContext& context);

}  // namespace tidegate::billing
