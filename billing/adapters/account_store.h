#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/money.h"
#include "base/core/result.h"
#include "billing/core/key_rules.h"

/// Tenants, projects, keys in PostgreSQL. Everything runs in the caller's transaction.
namespace tidegate::billing {

struct PageOf {
  std::optional<Uuid> after;  ///< the last id of the page before
  int limit = 100;
};
/// Of the first page: "".
inline std::string after_text(const PageOf& page) { return page.after ? page.after->to_string() : std::string(); }

struct TenantRow {
  TenantId id;
  std::string name, billing_tz, currency;
  bool is_suspended = false;
  Wall created;
  WalletId wallet;
  std::vector<std::string> regions = {};  ///< where its requests may be served; empty = anywhere
  std::int64_t queue_weight = 1;    ///< in the gateways' queues, against other tenants
  std::string tier_max = "default";  ///< best service tier its keys may ask for
};
struct ProjectRow {
  ProjectId id;
  TenantId tenant;
  std::string name;
  Wall created;
};
struct KeyRow {
  ApiKeyId id;
  ProjectId project;
  TenantId tenant;
  std::string public_id, name;
  std::vector<std::string> models;
  Wall created;
  std::optional<Wall> expires, revoked;
  std::vector<std::string> scopes;   ///< names of base/core/key_scope.h; empty = inference
  std::vector<std::string> sources;  ///< CIDR ranges; empty = anywhere
  std::string replaced_by;           ///< id of the successor, or empty
};

/// `tenant` is an id or a name. Fails: not_found/unknown_tenant.
Result<TenantRow> find_tenant(pqxx::work& tx, const std::string& tenant);
/// Of a listing: "" is every tenant. Fails as find_tenant().
Result<std::optional<TenantId>> tenant_filter(pqxx::work& tx, const std::string& tenant);
/// `project` is an id or a name within the tenant. Fails: not_found/unknown_project.
Result<ProjectRow> find_project(pqxx::work& tx, TenantId tenant, const std::string& project);

/// With its wallet. Fails: already_exists/tenant_exists.
Result<TenantRow> insert_tenant(pqxx::work& tx, const TenantRow& tenant, Money credit_limit);
std::vector<TenantRow> list_tenants(pqxx::work& tx, const PageOf& page);
/// Fails: not_found/unknown_tenant.
Result<TenantRow> suspend_tenant(pqxx::work& tx, const std::string& tenant, bool is_suspended);
/// Fails: not_found/unknown_tenant.
Result<TenantRow> set_tenant_regions(pqxx::work& tx, const std::string& tenant, std::vector<std::string> regions);
/// As account_rules.h checks it. Fails: not_found/unknown_tenant.
Result<TenantRow> set_tenant_share(pqxx::work& tx, const std::string& tenant, std::int64_t queue_weight,
                                   const std::string& tier_max);

/// Fails: already_exists/project_exists.
Result<ProjectRow> insert_project(pqxx::work& tx, const ProjectRow& project);
std::vector<ProjectRow> list_projects(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page);

/// Of two at once one sees the other's. Fails: as check_key_counts().
Result<KeyRow> insert_key(pqxx::work& tx, const KeyRow& key, std::string_view mac, const KeyLimits& limits);
std::vector<KeyRow> list_keys(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page);
/// By id or public id; revoking twice keeps the first instant. Fails: not_found/unknown_key.
Result<KeyRow> revoke_key(pqxx::work& tx, const std::string& key, Wall now);

/// The key, which lives on in `successor`: with its project, name, models, scopes, sources, caps and rate limits, and
/// with the id, public id and expiry that `successor` brings. The key itself ends after the overlap. Both rows as they
/// are now, the old one first. Fails: not_found/unknown_key, and as plan_rotation() and check_key_counts(): for these the
/// key itself counts as long as it lives on.
struct RotateKey {
  std::string key;  ///< id or public id
  ApiKeyId successor;
  std::string public_id, mac;
  std::chrono::microseconds overlap{};
  std::optional<Wall> expires;  ///< of the successor; nullopt: as the key's
};
struct RotatedKeys {
  KeyRow old, successor;
};
Result<RotatedKeys> rotate_key(pqxx::work& tx, const RotateKey& wanted, const KeyLimits& limits, Wall now);

/// A key as gateways need it.
struct PrincipalRow {
  KeyRow key;
  std::string mac;
  WalletId wallet;
  std::string currency, tenant_name, project_name;
  bool is_suspended = false;
  std::vector<std::string> regions = {};  ///< of the tenant
  std::int64_t queue_weight = 1;
  std::string tier_max = "default";
};
/// Keys not revoked, by ascending id after `after`.
std::vector<PrincipalRow> list_principals(pqxx::work& tx, const std::optional<Uuid>& after, int limit);
/// The keys named, or of the tenants named, revoked ones included.
std::vector<PrincipalRow> principals_of(pqxx::work& tx, const std::vector<std::string>& keys,
                                        const std::vector<std::string>& tenants);

}  // namespace tidegate::billing
