#pragma once

#include <cstdint>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "base/core/money.h"
#include "base/core/result.h"

namespace tidegate::billing {

/// What a tenant's board shows, read from wallets and hourly sums. For charts, never for decisions.
struct TenantWallet {
  std::string tenant;
  std::string currency;
  Money balance;
  Money available;
};
struct TenantUsage {
  std::string tenant;
  std::string model;
  std::string meter;
  std::string band;
  std::string currency;
  std::int64_t tokens = 0;  ///< of the last 24 hours
  Money amount;
};
struct TenantView {
  std::vector<TenantWallet> wallets;
  std::vector<TenantUsage> usage;
};

/// The `tenants_max` tenants who spent most in the last 24 hours.
Result<TenantView> load_tenant_view(pqxx::work& tx, int tenants_max);

}  // namespace tidegate::billing
