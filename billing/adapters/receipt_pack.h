#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/receipt/receipt.h"
#include "base/receipt/signature_runs.h"

namespace tidegate::billing {

/// Consecutive receipts of one epoch under one key, as they are stored: a row of receipt_batches.
struct ReceiptPack {
  std::string gateway;
  std::int64_t epoch = 0;
  std::int64_t first = 0, last = 0;
  std::string key_id;
  Digest previous{};       ///< link before `first`
  std::string bodies;      ///< each behind its length (u16, big-endian), `previous` zeroed
  receipt::SignatureRuns signatures;

  std::size_t size() const { return static_cast<std::size_t>(last - first + 1); }
  /// The next one; its body has its place already. `signatures` are made when all are there.
  void add(std::string_view body);
};

/// One of a pack, whole again.
struct UnpackedReceipt {
  std::string body;
  Digest link{};
  std::string signature;
};

/// In order. Fails: data_loss/receipt_damaged when the pack is not what add() and store_signatures() make.
Result<std::vector<UnpackedReceipt>> unpack(const ReceiptPack& pack);

}  // namespace tidegate::billing
