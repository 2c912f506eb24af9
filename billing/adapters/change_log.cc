#include "billing/adapters/change_log.h"

#include <pqxx/except>

#include "base/pg/types.h"

namespace tidegate::billing {

namespace {

constexpr const char* kAppend = R"sql(
  WITH clock AS (UPDATE change_clock SET version = version + cardinality($2::text[]) RETURNING version)
  INSERT INTO changes (version, kind, ref)
  SELECT clock.version - cardinality($2::text[]) + r.ord, $1::text, r.ref
    FROM clock, unnest($2::text[]) WITH ORDINALITY AS r(ref, ord))sql";

constexpr const char* kRead = R"sql(
  SELECT version, kind, ref FROM changes WHERE version > $1 ORDER BY version LIMIT $2)sql";

constexpr const char* kNames[] = {"key", "tenant", "price", "wallet", "cap", "limit"};

}  // namespace

void append_changes(pqxx::work& tx, ChangeKind kind, const std::vector<std::string>& refs) {
  if (refs.empty()) return;
  tx.exec_params0(kAppend, kNames[static_cast<std::size_t>(kind)], pg::array_of(refs));
  tx.exec0(std::string("NOTIFY ") + kChangeChannel);
}

std::vector<Change> read_changes(pqxx::work& tx, std::int64_t after, int limit) {
  std::vector<Change> out;
  for (const auto& row : tx.exec_params(kRead, after, limit)) {
    Change change{pg::read_int64(row[0]), ChangeKind::kKey, pg::read_text(row[2])};
    const std::string kind = pg::read_text(row[1]);
    for (std::size_t i = 0; i < std::size(kNames); ++i) {
      if (kind == kNames[i]) change.kind = static_cast<ChangeKind>(i);
    }
    out.push_back(std::move(change));
  }
  return out;
}

std::int64_t change_version(pqxx::work& tx) { return pg::read_int64(tx.exec1("SELECT version FROM change_clock")[0]); }

}  // namespace tidegate::billing
