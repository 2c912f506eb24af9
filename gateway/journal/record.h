#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/ids.h"

namespace tidegate::gateway {

enum class RecordType : std::uint8_t {
  kSegment = 1,   ///< first record of every segment: whose it is
  kAdmit = 2,     ///< a request got money and may be dispatched
  kProgress = 3,  ///< what an unfinished stream has delivered for certain
  kFinal = 4,     ///< a finished request; the only kind with a sequence number
  kClosing = 5,   ///< everything was shipped, billing is being asked to close the epoch
};

/// One line of the journal. The payload is opaque here: the journal knows no protobuf and no price.
struct Record {
  RecordType type = RecordType::kAdmit;
  std::uint64_t sequence = 0;  ///< FINAL: 1..n of the epoch. CLOSING: the last one. Else 0
  RequestId request;           ///< nil for SEGMENT and CLOSING
  std::string payload;
  /// FINAL only, not stored: called once, on the writer's thread, with the number the record gets, in the
  /// order of the numbers; may add to the payload (within kPayloadBytesMax). What a receipt needs of its
  /// place in the journal.
  std::function<void(std::uint64_t sequence, std::string& payload)> seal = nullptr;
};

struct RecordView {
  RecordType type;
  std::uint64_t sequence;
  RequestId request;
  std::string_view payload;
  std::uint32_t synced_through;  ///< bytes of this segment known to be on disk when the record was written
  std::size_t size;              ///< of the whole record
};

// On disk, little-endian:
//   crc32c u32 (of all that follows) | payload length u32 | synced_through u32 | type u8 | sequence u64 |
//   request 16 | payload
inline constexpr std::size_t kRecordHeaderBytes = 37;
inline constexpr std::size_t kPayloadBytesMax = 64 * 1024;

/// The payload is at most kPayloadBytesMax.
void append_record(std::string& out, const Record& record, std::uint32_t synced_through);

/// The record at the start of `data`; nullopt when there is no whole, valid one. Views point into `data`.
std::optional<RecordView> read_record(std::string_view data);

}  // namespace tidegate::gateway
