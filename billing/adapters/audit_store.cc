#include "billing/adapters/audit_store.h"

#include <algorithm>

#include "base/pg/types.h"
#include "base/receipt/checkpoint.h"
#include "base/receipt/merkle.h"

namespace tidegate::billing {
namespace {

constexpr const char* kListAudit = R"sql(
  SELECT number, (extract(epoch FROM at) * 1000000)::bigint, actor, origin, changes, leaf FROM audit_entries
   WHERE number >= $1 ORDER BY number LIMIT $2)sql";
constexpr const char* kLeaves = "SELECT leaf FROM audit_entries WHERE number < $1 ORDER BY number";
constexpr const char* kInsertCheckpoint = R"sql(
  INSERT INTO audit_checkpoints (size, checkpoint) VALUES ($1, $2::bytea) ON CONFLICT DO NOTHING)sql";

std::vector<Digest> load_leaves(pqxx::work& tx, std::int64_t size) {
  std::vector<Digest> leaves;
  for (const auto& row : tx.exec_params(kLeaves, size)) {
    leaves.emplace_back();
    std::ranges::copy(pg::read_bytea(row[0]), leaves.back().begin());
  }
  return leaves;
}

}  // namespace

void attribute(pqxx::work& tx, const std::string& actor, const std::string& origin) {
  // SET, not set_config(): a query would take the snapshot, and the isolation level could not be chosen after it.
  tx.exec0("SET LOCAL tidegate.actor = " + tx.quote(actor));
  tx.exec0("SET LOCAL tidegate.origin = " + tx.quote(origin));
}

std::vector<AuditRow> list_audit(pqxx::work& tx, std::int64_t from, int limit) {
  std::vector<AuditRow> out;
  for (const auto& row : tx.exec_params(kListAudit, from, limit)) {
    out.push_back({pg::read_int64(row[0]), pg::read_wall(row[1]), pg::read_text(row[2]), pg::read_text(row[3]),
                   pg::read_text(row[4]), pg::read_bytea(row[5])});
  }
  return out;
}

std::int64_t audit_size(pqxx::work& tx) { return pg::read_int64(tx.exec1("SELECT size FROM audit_head")[0]); }

bool sign_audit(pqxx::work& tx, const std::string& deployment, const Ed25519Key& key, Wall now) {
  const std::int64_t size = audit_size(tx);
  const auto newest = tx.exec1("SELECT coalesce(max(size), 0) FROM audit_checkpoints");
  if (size == pg::read_int64(newest[0])) return false;
  const receipt::Checkpoint checkpoint{deployment, "audit", static_cast<std::uint64_t>(size),
                                       merkle::root_of(load_leaves(tx, size)), unix_micros(now)};
  tx.exec_params0(kInsertCheckpoint, size, pg::to_bytea(receipt::sign_body(receipt::encode_body(checkpoint), key)));
  return true;
}

std::string newest_audit_checkpoint(pqxx::work& tx) {
  const auto rows = tx.exec("SELECT checkpoint FROM audit_checkpoints ORDER BY size DESC LIMIT 1");
  return rows.empty() ? std::string() : pg::read_bytea(rows[0][0]);
}

Result<std::vector<Digest>> prove_audit(pqxx::work& tx, std::int64_t old_size, std::int64_t new_size) {
  if (old_size < 1 || new_size < old_size || new_size > audit_size(tx)) {
    return fail(Code::kInvalidArgument, "bad_size", "0 < old_size <= new_size <= the log's size must hold", "old_size");
  }
  return merkle::consistency_proof(load_leaves(tx, new_size), static_cast<std::uint64_t>(old_size));
}

}  // namespace tidegate::billing
