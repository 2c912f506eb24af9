#pragma once

#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/result.h"

/// Who may do what in the database. Three roles, made by whoever migrates (the owner of every table):
///   the owner         migrates; nothing serves with it
///   tidegate_serve    billing while it serves: owns nothing, cannot delete, cannot change what is append-only
///   tidegate_read     dashboards and people: reads everything but the keys' MACs
/// Tables that belong to tenants have row-level security: a session that has said SET LOCAL tidegate.tenant = '<uuid>'
/// sees that tenant's rows only; one that has not sees all, since billing serves all of them.
namespace tidegate::billing {

inline constexpr const char* kServeRole = "tidegate_serve";
inline constexpr const char* kReadRole = "tidegate_read";

enum class TableUse : std::uint8_t {
  kRead,    ///< SELECT: triggers of the owner write it
  kAppend,  ///< SELECT, INSERT
  kChange,  ///< SELECT, INSERT, UPDATE
  kDelete,  ///< SELECT, INSERT, UPDATE, DELETE: rows that are work in progress, not history
};

struct TableRule {
  const char* table;
  TableUse use;
  /// SQL that is true for rows of tenant $T ('<uuid>'::uuid); null: rows belong to no tenant.
  const char* of_tenant;
};

/// Grants and policies as the rules say. Idempotent; run as the owner after every migration, in one transaction. A
/// table without a rule gets what kChange gives, so that a new one works, and a test fails, so that it gets one.
void apply_roles(pqxx::work& tx);

/// Tables of the schema that have no rule: names.
std::vector<std::string> tables_without_rule(pqxx::work& tx);

/// The rest of the transaction sees this tenant's rows only (under tidegate_serve or tidegate_read).
void scope_to_tenant(pqxx::work& tx, const std::string& tenant_uuid);

/// Whether scope_to_tenant() hides anything from this session's role: it does not from the owner of the tables.
Result<bool> is_row_security_on(pqxx::work& tx);

}  // namespace tidegate::billing
