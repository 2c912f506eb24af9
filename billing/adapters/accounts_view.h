#pragma once

#include <cstdint>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "billing/adapters/account_store.h"
#include "billing/adapters/cap_store.h"
#include "billing/adapters/price_store.h"
#include "billing/adapters/rate_limit_store.h"

namespace tidegate::billing {

/// What gateways know of billing, at one version of the change log.
struct AccountsSnapshot {
  std::int64_t version = 0;
  std::vector<PrincipalRow> principals;  ///< live ones
  PublishedPrices prices;
  std::vector<CapRow> caps;  ///< those in force
  std::vector<RateLimitRow> limits;  ///< those in force
};
/// On one snapshot of the database; the transaction must be fresh.
Result<AccountsSnapshot> load_accounts(pqxx::work& tx);

/// What changed after a version, as it is now.
struct AccountsDelta {
  std::int64_t version = 0;  ///< as of which; `after` when nothing changed
  std::vector<PrincipalRow> principals;
  std::vector<ApiKeyId> removed_keys;
  std::vector<price::PriceVersion> prices;
  std::vector<std::int64_t> removed_prices;
  std::vector<price::Calendar> calendars;  ///< all of them when a price changed
  bool has_modifiers = false;
  std::vector<price::Modifier> modifiers;  ///< all of them when a price changed
  std::vector<WalletId> topped_up;
  std::vector<CapRow> caps;  ///< removed ones included
  std::vector<RateLimitRow> limits;  ///< removed ones included
};
/// Takes at most 1,000 changes; ask again when there may be more. The transaction must be fresh.
Result<AccountsDelta> load_accounts_delta(pqxx::work& tx, std::int64_t after);

}  // namespace tidegate::billing
