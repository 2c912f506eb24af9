#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/metrics.h"
#include "worker/meter/meter_record.h"

namespace tidegate::worker {

/// The records of this life of the worker: <folder>/<worker id>.meter. Each is one write() and no fsync: a killed
/// process loses none, a power cut the last few, and then the gateway's own journal still bills. Thread-safe.
class MeterFile final : public UsageMeter {
 public:
  /// Makes the folder. Fails: internal/meter_unwritable.
  static Result<std::unique_ptr<MeterFile>> create(const std::filesystem::path& folder, const std::string& worker_id,
                                                   const Clock& clock, Log& log, Counter& failures);
  ~MeterFile() override;
  MeterFile(const MeterFile&) = delete;
  MeterFile& operator=(const MeterFile&) = delete;

  /// After a failed write nothing more is recorded (a gap would shift the numbers) and covered_until() stands still.
  void record(const MeterEntry& entry) override;

  /// Everything that ended before this instant is in the file.
  Wall covered_until() const;
  const std::filesystem::path& path() const { return path_; }

 private:
  MeterFile(int fd, std::filesystem::path path, const Clock& clock, Log& log, Counter& failures);

  const int fd_;
  const std::filesystem::path path_;
  const Clock& clock_;
  Log& log_;
  Counter& failures_;
  mutable std::mutex mutex_;
  std::optional<Wall> broken_at_;
};

/// A file of this or an earlier life.
struct MeterLife {
  std::string worker_id;
  std::filesystem::path path;
};
/// Every life in the folder, in the order of their names. Files of another name are left alone.
std::vector<MeterLife> meter_lives(const std::filesystem::path& folder);
/// Records `from` .. `from + count` (numbered from 0) as far as the file has them whole. Empty when it is gone.
std::vector<MeterRecord> read_records(const std::filesystem::path& file, std::uint64_t from, std::size_t count);

}  // namespace tidegate::worker
