#include "gateway/journal/final_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidegate::gateway {
namespace {

// One record always fits.
constexpr std::uint64_t kChunkBytes = 1 << 20;
static_assert(kChunkBytes >= kRecordHeaderBytes + kPayloadBytesMax);

}  // namespace

Result<std::vector<FinalReader::Final>> FinalReader::read_after(std::uint64_t after, std::uint64_t first_segment,
                                                                EpochLog::Position end, std::size_t count_max) {
  const bool resumes = position_after_ == after && position_.segment >= first_segment;
  EpochLog::Position at = resumes ? position_ : EpochLog::Position{.segment = first_segment, .offset = 0};
  std::vector<Final> finals;
  while (finals.size() < count_max && at < end) {
    const bool is_last = at.segment == end.segment;
    const std::uint64_t want = is_last ? std::min(kChunkBytes, end.offset - at.offset) : kChunkBytes;
    const std::string path = folder_ + "/" + segment_file_name(at.segment);
    TG_ASSIGN(const std::string chunk, disk_.read(path, at.offset, want));
    if (chunk.empty() && !is_last) {
      at = {.segment = at.segment + 1, .offset = 0};
      continue;
    }
    std::size_t used = 0;
    while (finals.size() < count_max) {
      const auto record = read_record(std::string_view(chunk).substr(used));
      if (!record) break;
      used += record->size;
      if (record->type != RecordType::kFinal || record->sequence <= after) continue;
      finals.push_back({.sequence = record->sequence, .payload = std::string(record->payload)});
    }
    // A chunk begins at a record and has room for the largest one: no progress means damage.
    if (used == 0) {
      return fail(Code::kDataLoss, "journal_corrupt", fmt::format("{} is damaged at byte {}", path, at.offset));
    }
    at.offset += used;
  }
  position_ = at;
  position_after_ = finals.empty() ? after : finals.back().sequence;
  return finals;
}

}  // namespace tidegate::gateway
