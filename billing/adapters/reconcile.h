#pragma once

#include <cstdint>
#include <pqxx/transaction>
#include <span>
#include <string>
#include <vector>

namespace tidegate::billing {

/// A statement about the whole database and a query for the rows that break it.
struct ReconcileCheck {
  const char* name;       ///< "I1"
  const char* statement;  ///< what must hold, for people
  const char* breaches;   ///< SELECT of one json column: a row per breach
};
/// I1 to I13 and I15 of the ledger's invariants, and what follows from M1. I14, which SQL cannot see, is a function:
/// audit_receipts().
std::span<const ReconcileCheck> reconcile_checks();

struct ReconcileResult {
  std::string name, statement;
  std::int64_t differences = 0;
  std::string example;  ///< the first breach, as JSON
};
struct ReconcileReport {
  std::vector<ReconcileResult> checks;
  std::int64_t differences = 0;
  std::int64_t events = 0;
};
/// Runs every check on one snapshot: usage may go on meanwhile. The transaction must be fresh: it is made
/// repeatable read and read only here.
ReconcileReport reconcile(pqxx::work& tx);

}  // namespace tidegate::billing
