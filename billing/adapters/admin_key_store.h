#pragma once

#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/result.h"
#include "billing/adapters/account_store.h"
#include "billing/core/admin_roles.h"

/// Keys of people in PostgreSQL. Everything runs in the caller's transaction.
namespace tidegate::billing {

struct AdminKeyRow {
  Uuid id;
  std::string public_id, name;
  AdminRole role = AdminRole::kViewer;
  std::optional<TenantId> tenant;  ///< nullopt: every tenant
  std::string tenant_name;
  Wall created;
  std::optional<Wall> expires, revoked;
};

void insert_admin_key(pqxx::work& tx, const AdminKeyRow& key, std::string_view mac);
/// `tenant`: keys of that tenant only.
std::vector<AdminKeyRow> list_admin_keys(pqxx::work& tx, const std::optional<TenantId>& tenant, const PageOf& page);
/// By id or public id. Fails: not_found/unknown_key.
Result<AdminKeyRow> find_admin_key(pqxx::work& tx, const std::string& key);
/// Revoking twice keeps the first instant.
AdminKeyRow revoke_admin_key(pqxx::work& tx, const Uuid& key, Wall now);

/// A key as the check of a call needs it.
struct AdminKeySecret {
  AdminKeyRow key;
  std::string mac;
};
/// nullopt when there is none of that public id; revoked and expired ones are found.
std::optional<AdminKeySecret> load_admin_secret(pqxx::work& tx, const std::string& public_id);

}  // namespace tidegate::billing
