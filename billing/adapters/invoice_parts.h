#pragma once

#include <pqxx/transaction>
#include <string>
#include <vector>

#include "billing/core/invoice.h"

namespace tidegate::billing {

/// The ledger of one wallet over [begin, end) of posting.
struct LedgerSpan {
  WalletId wallet;
  TenantId tenant;
  std::string tz;  ///< days of parts are days of this zone
  Wall begin;
  Wall end;
};

/// Everything that made revenue of the wallet in the span, split into parts whose sum is exactly the revenue less what
/// grants paid. Requests are found through the tenant's usage; what a transaction's requests do not explain becomes an
/// adjustment named after its source. Reads only; under the wallet's lock it is final.
/// Fails: data_loss/ledger_differs when the parts do not come to the ledger's sum (a broken invariant).
Result<std::vector<LinePart>> load_parts(pqxx::work& tx, const LedgerSpan& span);

/// Revenue less what grants paid, from ledger entries alone: the figure that the parts must come to.
Money ledger_charges(pqxx::work& tx, const LedgerSpan& span);

}  // namespace tidegate::billing
