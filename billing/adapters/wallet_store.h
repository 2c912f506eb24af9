#pragma once

#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "billing/adapters/account_store.h"

/// Wallets and the ledger in PostgreSQL. Everything runs in the caller's transaction.
namespace tidegate::billing {

struct WalletRow {
  WalletId id;
  TenantId tenant;
  std::string tenant_name, currency;
  Money balance, leased, credit_limit;

  Money available() const { return balance + credit_limit - leased; }
};

/// Fails: not_found/unknown_wallet.
Result<WalletRow> find_wallet(pqxx::work& tx, WalletId wallet);
std::vector<WalletRow> list_wallets(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page);

struct TopUp {
  WalletId wallet;
  Money amount;    ///< positive
  Uuid top_up_id;  ///< the caller's: the same id credits once
  Uuid tx_id;
  std::string note;
};
/// Fails: not_found/unknown_wallet, invalid_argument/bad_amount,
/// already_exists/top_up_differs (the id was used with another wallet or amount).
Result<WalletRow> top_up(pqxx::work& tx, const TopUp& request, Wall now);

/// Fails: not_found/unknown_wallet, invalid_argument/bad_amount, failed_precondition/credit_in_use (more is used or
/// leased already).
Result<WalletRow> set_credit_limit(pqxx::work& tx, WalletId wallet, Money limit);

struct LedgerEntryRow {
  std::string account, currency;
  Money amount;
};
struct LedgerTxRow {
  Uuid id;
  std::string source_type, source_id;
  Wall effective, posted;
  std::vector<LedgerEntryRow> entries;
};
/// Newest first; `page.after` is the last tx id of the page before.
std::vector<LedgerTxRow> list_ledger(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page);

}  // namespace tidegate::billing
