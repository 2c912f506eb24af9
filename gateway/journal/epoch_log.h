#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/journal/disk.h"
#include "gateway/journal/segment_scan.h"

namespace tidegate::gateway {

/// The segments of one epoch, in one folder: `<index as 8 digits>.tgj`, consecutive, each opened by a SEGMENT record.
/// Blocking, for one thread at a time. After any failed write or sync the log is dead: every later call fails, because
/// after a failed fsync nobody knows what is on the disk.
class EpochLog {
 public:
  struct Identity {
    std::string gateway_id;
    std::uint64_t epoch = 0;
    Uuid boot;  ///< the boot_id that billing gave the epoch to
  };
  /// How far a reader may read.
  struct Position {
    std::uint64_t segment = 0;
    std::uint64_t offset = 0;
    auto operator<=>(const Position&) const = default;
  };

  /// An empty epoch; on disk when this returns. `disk` outlives the log.
  static Result<EpochLog> create(Disk& disk, std::string folder, Identity identity, std::uint64_t segment_bytes_max);
  /// An earlier life's epoch: cuts a torn tail, calls `visit` for each record in order, and continues in a new segment
  /// when something is appended. Fails: data_loss/journal_corrupt; not_found/journal_empty when the crash came before
  /// the first segment was whole (nothing was ever promised there).
  static Result<EpochLog> open(Disk& disk, std::string folder, std::uint64_t segment_bytes_max,
                               const RecordVisitor& visit);

  /// Buffers a record. A FINAL gets the next sequence number, which is returned; otherwise 0.
  std::uint64_t append(Record record);
  /// Hands the buffer to the operating system: survives kill -9, not a power cut.
  Status write();
  /// After this, everything written survives a power cut.
  Status sync();
  /// Removes leading segments whose FINALs are all acknowledged and whose ADMITs have all ended. Only a prefix goes:
  /// a FINAL never disappears before its ADMIT, or a replay would bill the request again.
  Status free_through(std::uint64_t acknowledged_sequence);

  const Identity& identity() const { return identity_; }
  const std::string& folder() const { return folder_; }
  std::uint64_t last_sequence() const { return next_sequence_ - 1; }
  std::uint64_t bytes() const;
  std::uint64_t buffered_bytes() const { return buffered_bytes_; }
  std::size_t segment_count() const { return segments_.size(); }
  /// ADMITs without a FINAL.
  std::size_t open_count() const { return open_.size(); }
  std::uint64_t first_segment() const { return segments_.front().index; }
  /// End of what is synced.
  Position synced() const { return {.segment = segments_.back().index, .offset = synced_bytes_}; }

 private:
  struct Segment {
    std::uint64_t index = 0;
    std::uint64_t bytes = 0;
    std::uint64_t last_final = 0;  ///< 0: holds none
    std::size_t open_admits = 0;
  };

  EpochLog(Disk& disk, std::string folder, std::uint64_t segment_bytes_max)
      : disk_(&disk), folder_(std::move(folder)), segment_bytes_max_(segment_bytes_max) {}
  Status load(const RecordVisitor& visit);
  Status load_segment(std::uint64_t index, bool is_last, const RecordVisitor& visit);
  Status read_header(const RecordView& record, std::uint64_t index);
  Status start_segment();
  Status write_all(std::string_view data);
  Status die(Error error);
  void account(const RecordView& record);
  std::string path(std::uint64_t index) const;

  Disk* disk_;
  std::string folder_;
  std::uint64_t segment_bytes_max_;
  Identity identity_;
  std::deque<Segment> segments_;
  std::unordered_map<RequestId, std::uint64_t> open_;  ///< ADMIT without FINAL -> segment index
  std::vector<Record> buffer_;
  std::uint64_t buffered_bytes_ = 0;
  std::uint64_t buffered_finals_ = 0;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t synced_bytes_ = 0;      ///< of the last segment
  std::unique_ptr<AppendFile> active_;  ///< null until something is appended to a reopened log
  Status state_;
};

/// "00000001.tgj" -> 1; 0 for any other name.
std::uint64_t segment_index_of(std::string_view file_name);
std::string segment_file_name(std::uint64_t index);

}  // namespace tidegate::gateway
