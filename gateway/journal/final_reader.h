#pragma once

#include <string>
#include <vector>

#include "gateway/journal/disk.h"
#include "gateway/journal/epoch_log.h"

namespace tidegate::gateway {

/// The journal is its own queue: a shipper reads FINALs back from the segments (page cache, as a rule), so a billing
/// outage of any length costs disk, not memory. Blocking; for one thread; beside the writer.
class FinalReader {
 public:
  struct Final {
    std::uint64_t sequence = 0;
    std::string payload;
  };

  FinalReader(Disk& disk, std::string folder) : disk_(disk), folder_(std::move(folder)) {}

  /// Up to `count_max` consecutive FINALs after sequence `after`, none beyond `end` (synced data only).
  /// `first_segment` is the oldest that still exists. Fails as Disk::read, and data_loss/journal_corrupt.
  Result<std::vector<Final>> read_after(std::uint64_t after, std::uint64_t first_segment, EpochLog::Position end,
                                        std::size_t count_max);

 private:
  Disk& disk_;
  std::string folder_;
  // Where the record after sequence `position_after_` begins, so that reading on costs nothing extra.
  EpochLog::Position position_;
  std::uint64_t position_after_ = 0;
};

}  // namespace tidegate::gateway
