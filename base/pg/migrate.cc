#include "base/pg/migrate.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <pqxx/transaction>
#include <sstream>

#include "base/core/encoding.h"
#include "base/crypto/sha256.h"
#include "base/pg/connect.h"
#include "base/pg/pool.h"
#include "base/pg/types.h"

namespace tidegate::pg {

namespace {

constexpr const char* kCreateTable = R"(
  CREATE TABLE IF NOT EXISTS tidegate_schema_migrations (
    service text NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (service, version)
  ))";
// One lock for all services of a database: their migrations may create the same extension.
constexpr const char* kLock = "SELECT pg_advisory_lock(7597127453411927396)";
constexpr const char* kApplied =
    "SELECT version, sha256 FROM tidegate_schema_migrations WHERE service = $1 ORDER BY version";
constexpr const char* kRecord =
    "INSERT INTO tidegate_schema_migrations (service, version, name, sha256) VALUES ($1, $2, $3, $4)";

std::string digest_of(const Migration& migration) {
  return hex_encode(as_view(sha256(migration.sql)));
}

std::string title(const Migration& migration) {
  std::string number = std::to_string(migration.version);
  number.insert(0, 4 - std::min<std::size_t>(4, number.size()), '0');
  return number + "_" + migration.name;
}

Result<Migration> read_file(const std::filesystem::path& path) {
  const std::string stem = path.stem().string();
  Migration migration;
  const char* end = stem.data() + stem.size();
  const auto [stop, error] = std::from_chars(stem.data(), end, migration.version);
  if (error != std::errc() || stop != stem.data() + 4 || stop == end || *stop != '_' || stop + 1 == end) {
    return fail(Code::kInvalidArgument, "bad_migration", path.string() + " is not named NNNN_name.sql");
  }
  migration.name = std::string(stop + 1, end);
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  if (!in) return fail(Code::kInvalidArgument, "bad_migration", "cannot read " + path.string());
  migration.sql = content.str();
  return migration;
}

/// Numbers may leave gaps: branches reserve theirs and land in any order.
Status check_sequence(const std::vector<Migration>& migrations) {
  int before = 0;
  for (const Migration& migration : migrations) {
    if (migration.version <= before) {
      return fail(Code::kInvalidArgument, "bad_migration",
                  title(migration) + " does not come after version " + std::to_string(before));
    }
    before = migration.version;
  }
  return {};
}

/// Everything that ran must still be there, unchanged.
Status check_history(const std::map<int, std::string>& applied, const std::vector<Migration>& migrations) {
  for (const auto& [version, digest] : applied) {
    const auto known = std::ranges::find(migrations, version, &Migration::version);
    if (known == migrations.end()) {
      return fail(Code::kFailedPrecondition, "migration_missing",
                  "the database has migration " + std::to_string(version) + ", this program knows up to " +
                      std::to_string(migrations.empty() ? 0 : migrations.back().version) +
                      " and not that one: it is older than the database");
    }
    if (digest_of(*known) != digest) {
      return fail(Code::kFailedPrecondition, "migration_changed",
                  title(*known) + " was edited after it ran: restore it and add a new one");
    }
  }
  return {};
}

std::map<int, std::string> load_applied(pqxx::work& tx, const std::string& service) {
  std::map<int, std::string> applied;
  for (const auto& row : tx.exec_params(kApplied, service)) {
    applied[static_cast<int>(read_int64(row[0]))] = read_text(row[1]);
  }
  return applied;
}

Result<MigrationReport> run(pqxx::connection& connection, const std::string& service,
                            const std::vector<Migration>& migrations) {
  std::map<int, std::string> applied;
  {
    pqxx::work tx(connection);
    tx.exec(kCreateTable);
    applied = load_applied(tx, service);
    tx.commit();
  }
  TG_TRY(check_history(applied, migrations));
  MigrationReport report;
  report.version_before = applied.empty() ? 0 : applied.rbegin()->first;
  report.version_after = report.version_before;
  for (const Migration& migration : migrations) {
    if (applied.contains(migration.version)) continue;
    pqxx::work tx(connection);
    tx.exec(migration.sql);
    tx.exec_params0(kRecord, service, migration.version, migration.name, digest_of(migration));
    tx.commit();
    report.version_after = migration.version;
  }
  return report;
}

}  // namespace

Result<std::vector<Migration>> load_migrations(const std::string& folder) {
  std::error_code error;
  std::vector<Migration> migrations;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() != ".sql") continue;
    TG_ASSIGN(auto migration, read_file(entry.path()));
    migrations.push_back(std::move(migration));
  }
  if (error || migrations.empty())
    return fail(Code::kNotFound, "no_migrations", "no NNNN_name.sql in " + folder);
  std::sort(migrations.begin(), migrations.end(),
            [](const auto& a, const auto& b) { return a.version < b.version; });
  TG_TRY(check_sequence(migrations));
  return migrations;
}

Result<MigrationReport> migrate(const std::string& connection_string, const std::string& service,
                                const std::vector<Migration>& migrations, Deadline deadline) {
  TG_TRY(check_sequence(migrations));
  const Duration left = deadline.remaining(std::chrono::steady_clock::now());
  ConnectOptions options;
  options.connection = connection_string;
  options.application = service + "-migrate";
  const std::int64_t left_ms = in_millis(left);
  options.statement_timeout = std::chrono::milliseconds(std::clamp<std::int64_t>(left_ms, 1, 3'600'000));
  bool is_locked = false;
  try {
    const auto connection = connect(options);
    {
      pqxx::nontransaction session(*connection);
      session.exec(kLock);  // until the connection closes
    }
    is_locked = true;
    return run(*connection, service, migrations);
  } catch (...) {
    Error error = error_of_current_exception();
    if (!is_locked && error.reason == "statement_timeout") {
      return fail(Code::kDeadlineExceeded, "migration_locked", "another process holds the migration lock");
    }
    return fail(std::move(error));
  }
}

}  // namespace tidegate::pg
