#pragma once

#include <cstdint>
#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/crypto/ed25519.h"
#include "base/crypto/sha256.h"

/// The audit log. Its entries are written by triggers when a transaction commits (migrations/0010_audit.sql): no change
/// of an audited table without one, whoever makes it.
namespace tidegate::billing {

/// Says who makes the changes of this transaction. Before any other statement or after: only the commit reads it.
void attribute(pqxx::work& tx, const std::string& actor, const std::string& origin);

struct AuditRow {
  std::int64_t number = 0;
  Wall at;
  std::string actor, origin, changes, leaf;
};
std::vector<AuditRow> list_audit(pqxx::work& tx, std::int64_t from, int limit);
std::int64_t audit_size(pqxx::work& tx);

/// Signs the tree as it is, unless the newest checkpoint says the same. True when one was made.
bool sign_audit(pqxx::work& tx, const std::string& deployment, const Ed25519Key& key, Wall now);
/// The newest one's bytes; "" before the first.
std::string newest_audit_checkpoint(pqxx::work& tx);
/// Fails: invalid_argument/bad_size.
Result<std::vector<Digest>> prove_audit(pqxx::work& tx, std::int64_t old_size, std::int64_t new_size);

}  // namespace tidegate::billing
