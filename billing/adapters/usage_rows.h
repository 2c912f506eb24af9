#pragma once

#include <cstdint>
#include <map>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/ids.h"
#include "billing/core/posting.h"

namespace tidegate::billing {

/// The writes of one batch, each one statement over arrays: a batch of 1,000 events costs as many round trips as one
/// of a single event.
class UsageRows {
 public:
  UsageRows(pqxx::work& tx, const std::string& gateway, std::int64_t epoch) : tx_(tx), gateway_(gateway), epoch_(epoch) {}

  void insert_batch(std::int64_t first, std::int64_t last, std::int64_t duplicates, std::string_view sha256, Wall now) const;
  void insert_events(const std::vector<RatedEvent>& events) const;
  /// Ledger transactions and entries; the id of each wallet's, none where nothing was charged.
  std::map<WalletId, Uuid> insert_postings(const BatchEffects& effects, std::int64_t first, IdSource& ids, Wall now) const;
  void insert_lines(const std::vector<RatedEvent>& events, const std::map<WalletId, Uuid>& postings,
                    const std::string& tzdata) const;
  /// Leases consume, wallets lose balance and lease alike: what is available does not move.
  void charge(const BatchEffects& effects) const;
  void add_hours(const BatchEffects& effects) const;

 private:
  pqxx::work& tx_;
  const std::string& gateway_;
  std::int64_t epoch_;
};

}  // namespace tidegate::billing
