#pragma once

#include <cstdint>
#include <optional>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "billing/adapters/receipt_audit.h"

/// The days' Merkle trees. A leaf is RFC 6962's hash of a receipt's link; leaves stand in the order of
/// receipt_batches.id, within one in the order of sequences.
namespace tidegate::billing {

inline constexpr std::size_t kChunkLeaves = 1024;

/// "2026-11-22" in UTC.
std::string utc_day(Wall instant);

/// Fixes which receipts the tree of `day` holds: all that no earlier one does. Again: nothing. Its own transaction: new
/// receipts wait until it commits.
void cut_day(pqxx::work& tx, const std::string& day);

struct DayCut {
  std::string day;
  std::int64_t after = 0, through = 0;  ///< batches
};
/// The oldest day that is cut and has no root yet.
std::optional<DayCut> next_cut(pqxx::work& tx);

struct DayRow {
  std::string day;
  std::int64_t size = 0;
  std::string checkpoint;  ///< the signed bytes
};
/// Builds the tree, audits every receipt on the way, signs the root. What the audit found does not stop it: the root
/// says what is stored.
DayRow seal_day(pqxx::work& tx, const DayCut& cut, const std::string& deployment, const Ed25519Key& key, Wall now,
                ReceiptAudit& audit);

/// Newest first.
std::vector<DayRow> list_days(pqxx::work& tx, int limit);

struct DayInclusion {
  DayRow day;
  Digest link{};
  std::uint64_t index = 0;
  std::vector<Digest> path;
};
/// Fails: as find_receipt; failed_precondition/day_not_sealed; data_loss/receipt_damaged.
Result<DayInclusion> prove_receipt(pqxx::work& tx, const ReceiptPlace& place);

/// I14: the newest receipts (up to 256 batches) and the root of every day.
ReceiptAudit audit_receipts(pqxx::work& tx);

}  // namespace tidegate::billing
