#pragma once

#include <functional>
#include <string_view>

#include "gateway/journal/record.h"

namespace tidegate::gateway {

/// Called with each record and its offset, in order.
using RecordVisitor = std::function<void(const RecordView& record, std::uint64_t offset)>;

/// Reads one segment and returns how many of its bytes are sound.
///
/// A crash tears only what was not yet synced. Every record carries how far its segment was synced when it was
/// written, so a bad record is told apart exactly: if a later valid record says the bad bytes had been synced (or the
/// segment was finished: `is_last` false), the disk has lost data and the answer is data_loss/journal_corrupt with
/// file and offset, never a guess. Otherwise the rest was never promised to anybody and is cut.
Result<std::uint64_t> scan_segment(std::string_view data, bool is_last, std::string_view name,
                                   const RecordVisitor& visit);

}  // namespace tidegate::gateway
