#pragma once

#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "billing/adapters/usage_dimensions.h"
#include "billing/core/posting.h"

/// The one place that writes ledger transactions of usage. Everything runs in the caller's transaction.
namespace tidegate::billing {

struct LedgerTx {
  Uuid id;
  std::string source_type, source_id;  ///< together unique: posting the same source twice is impossible
  WalletId wallet;
  std::string currency;
  Wall effective_at;
  std::string note;
  std::optional<Uuid> reverses;
  std::vector<Entry> entries;  ///< balanced, not empty
  std::vector<ExtraLine> extra;
  std::string actor;  ///< the person who asked for it; empty: the service itself
};

/// Transactions, entries, extra lines and the rollup of these. Balances are the caller's to move, wallets are
/// locked. An account that does not exist, a source posted before: as pg::Pool reports a violated constraint.
void write_ledger(pqxx::work& tx, const std::vector<LedgerTx>& transactions, Wall now, UsageDimensions& dimensions);

/// Locks wallets in the order of their ids, as everybody does who changes several.
void lock_wallets(pqxx::work& tx, const std::vector<WalletId>& wallets);

struct WalletMove {
  WalletId wallet;
  Money balance;  ///< added
  Money leased;   ///< added
};
void move_wallets(pqxx::work& tx, const std::vector<WalletMove>& moves);

/// Plans made while a table was small must not read it whole once it is not: for the rest of the transaction,
/// statements use indexes where there is one.
void prefer_indexes(pqxx::work& tx);

}  // namespace tidegate::billing
