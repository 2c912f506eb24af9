#include "gateway/journal/segment_scan.h"

#include <fmt/format.h>

namespace tidegate::gateway {
namespace {

/// True when some record after `bad` was written once the bytes at `bad` were already on disk.
bool was_synced(std::string_view data, std::size_t bad) {
  for (std::size_t at = bad + 1; at + kRecordHeaderBytes <= data.size(); ++at) {
    const auto record = read_record(data.substr(at));
    if (record && record->synced_through > bad && record->synced_through <= at) return true;
  }
  return false;
}

}  // namespace

Result<std::uint64_t> scan_segment(std::string_view data, bool is_last, std::string_view name,
                                   const RecordVisitor& visit) {
  std::size_t offset = 0;
  while (offset < data.size()) {
    const auto record = read_record(data.substr(offset));
    if (!record) {
      if (!is_last || was_synced(data, offset)) {
        return fail(Code::kDataLoss, "journal_corrupt",
                    fmt::format("{} is damaged at byte {} of {}; restore the file or move its epoch folder away",
                                name, offset, data.size()));
      }
      break;
    }
    visit(*record, offset);
    offset += record->size;
  }
  return offset;
}

}  // namespace tidegate::gateway
