#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <pqxx/transaction>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/core/result.h"
#include "billing/core/posting.h"

namespace tidegate::billing {

/// What a process remembers of rows that never change. Only what an earlier transaction committed may be put
/// in: a number from a transaction that rolls back later would be a reference to nothing. Thread-safe.
template <typename Value>
class CommittedCache {
 public:
  std::optional<Value> find(const std::string& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = values_.find(key);
    if (found == values_.end()) return std::nullopt;
    return found->second;
  }
  /// Forgets all at the limit: what is in use comes back with the next batch.
  void put(const std::string& key, Value value) {
    const std::lock_guard lock(mutex_);
    if (values_.size() >= kEntriesMax) values_.clear();
    values_.emplace(key, std::move(value));
  }

 private:
  static constexpr std::size_t kEntriesMax = 200'000;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Value> values_;
};

/// Who pays, as usage rows name it.
struct Payer {
  std::int32_t number = 0;
  std::int32_t tenant = 0;
  std::string currency;
};

/// The tables that keep once what repeats in usage rows (usage_payers, usage_routes, usage_tariffs,
/// usage_cells): values in, numbers out, one answer for each value, in order. New values are added in the
/// caller's transaction, before it locks any wallet, so that two batches that add the same cannot wait for
/// each other. One object per process; thread-safe.
class UsageDimensions {
 public:
  /// Checks that key, project, tenant and wallet belong together. Fails: invalid_argument/unknown_principal.
  Result<std::vector<Payer>> payers(pqxx::work& tx, const std::string& gateway, std::int64_t epoch,
                                    const std::vector<const UsageEvent*>& events);
  std::vector<std::int32_t> routes(pqxx::work& tx, const std::vector<RatedEvent>& events);
  std::vector<std::int32_t> tariffs(pqxx::work& tx, const std::vector<RatedEvent>& events, const std::string& tzdata);
  std::vector<std::int32_t> cells(pqxx::work& tx, const std::vector<CellKey>& keys);
  /// Makes the partitions that these ids need. Fails: invalid_argument/{bad_event, id_expired, id_in_future}.
  Status make_partitions(pqxx::work& tx, const std::vector<UsageEvent>& events, Wall kept_from, Wall now);

 private:
  CommittedCache<Payer> payers_;
  CommittedCache<std::int32_t> routes_, tariffs_, cells_;
  CommittedCache<bool> months_;
};

/// How far ahead of billing's clock the time in a request id may be.
inline constexpr std::chrono::hours kIdFutureMax{24};

}  // namespace tidegate::billing
