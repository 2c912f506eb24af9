#pragma once

#include <string>
#include <vector>

#include "base/core/deadline.h"
#include "base/core/result.h"

namespace tidegate::pg {

/// One forward step of the schema. Never edited once released: its digest is kept in the database.
struct Migration {
  int version = 0;  ///< positive and ascending; gaps are allowed
  std::string name;
  std::string sql;  ///< several statements; runs in one transaction, so nothing that refuses one
};

/// Reads NNNN_name.sql from a folder, sorted. Fails: not_found/no_migrations, invalid_argument/bad_migration (a foreign
/// file name, a version twice).
Result<std::vector<Migration>> load_migrations(const std::string& folder);

struct MigrationReport {
  int version_before = 0;
  int version_after = 0;
};

/// Brings the schema up to the last migration, one transaction each, under an advisory lock, so that replicas may all
/// do it at start. `service` names the row set: services may share a database. Keeps table tidegate_schema_migrations.
/// Fails: failed_precondition/migration_changed (a file that ran differs now), failed_precondition/migration_missing
/// (the database is newer than the program), deadline_exceeded/migration_locked, and what pg::Pool reports.
Result<MigrationReport> migrate(const std::string& connection, const std::string& service,
                                const std::vector<Migration>& migrations, Deadline deadline);

}  // namespace tidegate::pg
