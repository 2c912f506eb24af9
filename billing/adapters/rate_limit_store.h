#pragma once

#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "billing/adapters/account_store.h"
#include "billing/core/rate_limit_rules.h"

/// Limits on rates in PostgreSQL. Everything runs in the caller's transaction.
namespace tidegate::billing {

struct RateLimitRow {
  Uuid id;
  TenantId tenant;
  std::string tenant_name;
  CapScope scope = CapScope::kTenant;
  Uuid subject;              ///< project or key; nil: the tenant
  std::string subject_name;  ///< of a project or key
  std::string model;         ///< empty: all models together
  RateNumbers numbers;
  Wall created;
  std::optional<Wall> removed;
};

struct SetRateLimit {
  Uuid id;  ///< should the limit be new
  TenantId tenant;
  CapScope scope = CapScope::kTenant;
  Uuid subject;
  std::string model;
  RateNumbers numbers;
};
/// Fails: resource_exhausted/too_many_limits.
Result<RateLimitRow> set_rate_limit(pqxx::work& tx, const SetRateLimit& limit, Wall now);
/// Fails: not_found/unknown_limit.
Result<RateLimitRow> remove_rate_limit(pqxx::work& tx, const Uuid& limit, Wall now);
std::vector<RateLimitRow> list_rate_limits(pqxx::work& tx, const std::optional<TenantId>& tenant, bool with_removed,
                                           const PageOf& page);

/// As gateways need them: those in force, by ascending id after `after`.
std::vector<RateLimitRow> rate_limits_in_force(pqxx::work& tx, const std::optional<Uuid>& after, int limit);
/// The limits named, removed ones included.
std::vector<RateLimitRow> rate_limits_of(pqxx::work& tx, const std::vector<std::string>& ids);

}  // namespace tidegate::billing
