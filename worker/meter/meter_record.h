#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "worker/meter/usage_meter.h"

/// One ended sequence on the worker's disk. A file is records of one size, little endian, nothing else:
///   crc32c u32 (of all that follows) | finish u8 | version u8 | zero u16 | request 16 bytes | finished i64 (unix us) |
///   prompt u32 | cached u32 | completion u32 | reasoning u32 | drafted u32 | accepted u32 | device i64 (us)
/// Files of version 1 end behind `reasoning`: lives that ended before a worker was replaced are still told.
namespace tidegate::worker {

struct MeterRecord {
  MeterEntry entry;
  Wall finished;
  bool operator==(const MeterRecord& other) const;
};

inline constexpr std::size_t kMeterRecordBytes = 64;
inline constexpr std::size_t kMeterRecordBytesV1 = 48;

/// Size of the records of a file that begins so.
std::size_t record_bytes_of(std::string_view beginning);

std::string encode_record(const MeterRecord& record);
/// nullopt: not a whole record, or a bit of it is wrong.
std::optional<MeterRecord> decode_record(std::string_view bytes);
/// The leading whole records of `bytes`: a process may have died, and a power cut torn, in the middle of the last one.
std::vector<MeterRecord> decode_records(std::string_view bytes);

std::string_view finish_name(FinishReason finish);  ///< "stop"

}  // namespace tidegate::worker
