#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/ids.h"
#include "base/crypto/sha256.h"
#include "base/pg/binary_array.h"
#include "billing/adapters/usage_dimensions.h"
#include "billing/core/posting.h"

namespace tidegate::billing {

/// The numbers of one event's row in the tables of what repeats.
struct RowNumbers {
  std::int32_t payer = 0, tenant = 0, route = 0, tariff = 0;
};

/// The writes of one batch, each one prepared statement over binary arrays: a batch of 1,000 events costs as
/// many round trips as one of a single event.
class UsageRows {
 public:
  UsageRows(pqxx::work& tx, const std::string& gateway, std::int64_t epoch)
      : tx_(tx), gateway_(gateway), epoch_(epoch) {}

  void insert_batch(std::int64_t first, std::int64_t last, std::int64_t duplicates, std::string_view sha256,
                    Wall now) const;
  /// `postings` has the transaction of each wallet that has one. Events whose id is stored already are left
  /// out: answers how many were not.
  std::size_t insert_events(const std::vector<RatedEvent>& events, const std::vector<RowNumbers>& numbers,
                            const std::map<WalletId, Uuid>& postings) const;
  void consume_leases(const std::map<LeaseId, Money>& leases) const;
  /// `receipt_link` of the last receipt of the epoch; nullopt: it has none.
  void advance_epoch(std::int64_t last, const std::optional<Digest>& receipt_link) const;

 private:
  pqxx::work& tx_;
  const std::string& gateway_;
  std::int64_t epoch_;
};

/// Columns of usage_hours_extra: sums that belong to no meter of their own.
struct ExtraHours {
  pg::BinaryArray hour{pg::ElementType::kTimestamptz}, cell{pg::ElementType::kInt4}, meter{pg::ElementType::kText},
      quantity{pg::ElementType::kNumeric}, amount{pg::ElementType::kNumeric};
};
void add_extra_hours(pqxx::work& tx, const ExtraHours& extra);

/// Meter of the line that a minimum charge adds; it has no quantity.
inline constexpr std::string_view kMinimumMeter = "minimum_charge";

/// Adds to the rollup. `cells` are the numbers of the keys of `hours`, in order.
void add_hours(pqxx::work& tx, const std::map<HourlyKey, HourlySum>& hours, const std::vector<std::int32_t>& cells);

}  // namespace tidegate::billing
