#pragma once

#include <cstdint>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/result.h"

namespace tidegate::billing {

enum class ChangeKind : std::uint8_t { kKey, kTenant, kPrice, kWallet, kCap, kLimit };

/// "Something about `ref` changed": readers look at its present state, so the order within a kind does not matter.
struct Change {
  std::int64_t version = 0;
  ChangeKind kind = ChangeKind::kKey;
  std::string ref;  ///< uuid, or the number of a price version, or "modifiers"
};

/// NOTIFY channel of new changes.
inline constexpr const char* kChangeChannel = "tidegate_billing_changes";

/// Part of the caller's transaction, and its last statement: it takes the lock of the change clock until the commit,
/// which makes versions visible in their own order for every replica's readers.
void append_changes(pqxx::work& tx, ChangeKind kind, const std::vector<std::string>& refs);

/// Versions above `after`, ascending, at most `limit`.
std::vector<Change> read_changes(pqxx::work& tx, std::int64_t after, int limit);
/// The latest version visible to this transaction.
std::int64_t change_version(pqxx::work& tx);

}  // namespace tidegate::billing
