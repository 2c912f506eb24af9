#pragma once

#include <pqxx/transaction>
#include <string>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/money.h"
#include "base/core/result.h"

namespace tidegate::billing {

/// A wallet as its owner sees it. Leased money is still the owner's. What expired and voided grants have left is in
/// neither part, although it stays in the wallet's balance until it lapses.
struct BalanceView {
  std::string currency;
  Money granted;    ///< left of grants in force
  Money topped_up;  ///< the rest of the balance; below zero: credit in use
  Money credit_limit;

  bool is_available() const { return granted + topped_up + credit_limit > Money(); }
};

/// Reads, in the caller's transaction. Fails: not_found/unknown_wallet, also for another tenant's.
Result<BalanceView> find_balance(pqxx::work& tx, TenantId tenant, WalletId wallet, Wall now);

}  // namespace tidegate::billing
