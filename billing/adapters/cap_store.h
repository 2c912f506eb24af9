#pragma once

#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "billing/adapters/account_store.h"
#include "billing/core/cap_rules.h"

/// Caps and what their periods have spent, in PostgreSQL. Everything runs in the caller's transaction. Leases
/// of caps: cap_lease_store.h.
namespace tidegate::billing {

struct CapSpendRow {
  Uuid id, end_user;
  std::optional<Wall> starts, ends;  ///< none: "total"
  Money allowed, spent, leased;
};
struct CapRow {
  Uuid id;
  TenantId tenant;
  std::string tenant_name, currency;
  CapScope scope = CapScope::kTenant;
  Uuid subject;              ///< project, key or end user; nil: the tenant, or each end user by itself
  std::string subject_name;  ///< of a project or key
  CapPeriod period = CapPeriod::kMonthly;
  Money amount;
  Wall created;
  std::optional<Wall> removed;
  std::optional<CapSpendRow> current;  ///< the period of `now`, once it was used
};

struct SetCap {
  Uuid id;  ///< should the cap be new
  TenantId tenant;
  CapScope scope = CapScope::kTenant;
  Uuid subject;
  CapPeriod period = CapPeriod::kMonthly;
  Money amount;
};
/// Fails: resource_exhausted/too_many_caps.
Result<CapRow> set_cap(pqxx::work& tx, const SetCap& cap, Wall now);
/// Fails: not_found/unknown_cap.
Result<CapRow> remove_cap(pqxx::work& tx, const Uuid& cap, Wall now);
std::vector<CapRow> list_caps(pqxx::work& tx, const std::optional<TenantId>& tenant, bool with_removed,
                              const PageOf& page, Wall now);
/// Newest first. Fails: not_found/unknown_cap.
Result<std::vector<CapSpendRow>> list_cap_periods(pqxx::work& tx, const Uuid& cap, const PageOf& page);
/// A key of the tenant by id or public id. Fails: not_found/unknown_key.
Result<ApiKeyId> find_key_of(pqxx::work& tx, TenantId tenant, const std::string& key);

/// As gateways need them: those in force, by ascending id after `after`.
std::vector<CapRow> caps_in_force(pqxx::work& tx, const std::optional<Uuid>& after, int limit);
/// The caps named, removed ones included.
std::vector<CapRow> caps_of(pqxx::work& tx, const std::vector<std::string>& ids);

}  // namespace tidegate::billing
