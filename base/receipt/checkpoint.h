#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "base/crypto/sha256.h"
#include "base/receipt/envelope.h"

namespace tidegate::receipt {

/// The signed statement "this log had these leaves then": "TGC1" and the fields below, in an envelope.
struct Checkpoint {
  std::string deployment;
  std::string log;         ///< "receipts/2026-11-22" or "audit"
  std::uint64_t size = 0;  ///< leaves
  Digest root{};
  std::int64_t at_us = 0;
  bool operator==(const Checkpoint&) const = default;
};

std::string encode_body(const Checkpoint& checkpoint);
struct SignedCheckpoint {
  Envelope envelope;
  Checkpoint checkpoint;
};
/// Reads, does not verify. Fails: invalid_argument/bad_receipt naming the field.
Result<SignedCheckpoint> decode_checkpoint(std::string_view bytes);

}  // namespace tidegate::receipt
