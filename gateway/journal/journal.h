#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "gateway/journal/epoch_log.h"
#include "gateway/journal/journal_metrics.h"

namespace tidegate::gateway {

struct JournalLimits {
  std::uint64_t segment_bytes_max = 8 << 20;
  /// Admissions stop here. FINALs are never refused: keep a quarter more free on the disk.
  std::uint64_t quota_bytes = 1 << 30;
  /// Records waiting for the writer: above it admissions are refused and progress is dropped (never a FINAL).
  std::uint64_t pending_bytes_max = 32 << 20;
  /// A power cut loses at most this much of a stream's progress.
  Duration progress_sync = std::chrono::milliseconds(250);
  /// Progress alone waits this long for company before it is written: a killed process loses at most this much of it.
  Duration progress_write = std::chrono::milliseconds(10);
};

/// The current epoch's log behind one writer thread. Group commit: whatever arrived while the disk was busy goes out
/// in one write and one fdatasync. Thread-safe; nothing here waits for the disk except stop().
///
/// After a failed write or sync the journal has failed for good: every append fails with unavailable/journal_failed,
/// the process stops admitting, drains and exits; the next start replays what reached the disk.
class Journal {
 public:
  /// Called once, on the writer thread: post, do not work there. The number is a FINAL's sequence, else 0.
  using Done = std::move_only_function<void(Result<std::uint64_t>)>;

  /// `log`'s Disk, `metrics`, `clock` and `lines` outlive the journal.
  Journal(EpochLog log, JournalLimits limits, JournalMetrics& metrics, const Clock& clock, Log& lines);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// ADMIT, FINAL or CLOSING: `done` is called when the record is on disk. An ADMIT may be refused with
  /// unavailable/journal_full (then `done` is called before this returns, on the calling thread).
  void append(Record record, Done done);
  /// Nobody waits for it: written with the next ADMIT or FINAL, or within limits.progress_write; synced within
  /// limits.progress_sync.
  void append_progress(Record record);
  /// Billing has everything up to here: whole segments below are removed, later, by the writer.
  void acknowledge(std::uint64_t sequence);

  /// The last FINAL on disk, and the end of synced data: what a shipper may read.
  struct Durable {
    std::uint64_t last_sequence = 0;
    std::uint64_t first_segment = 0;
    EpochLog::Position end;
  };
  Durable durable() const;
  bool has_failed() const { return has_failed_.load(std::memory_order_relaxed); }
  bool is_full() const;
  const std::string& folder() const { return folder_; }
  std::uint64_t epoch() const { return epoch_; }

  /// Called on the writer thread whenever durable().last_sequence grew or the journal failed. Set once, before use.
  void on_change(std::function<void()> listener);
  /// Called on the writer thread after a commit with FINALs is on disk, before anybody hears of it: what is done once for
  /// all of them, and short, for they wait. Set once, before use.
  void on_commit(std::function<void()> listener);
  /// Writes everything queued, syncs, ends the thread. Later appends fail. Idempotent; the destructor calls it.
  void stop();

 private:
  struct Pending {
    Record record;
    Done done;
  };
  void run();
  void commit(std::vector<Pending> batch, bool must_sync);
  Status write_and_sync(bool must_sync);
  void fail_all(std::vector<Pending>& batch, const Error& error);
  void publish();
  std::uint64_t charged_bytes() const { return disk_bytes_ + pending_bytes_; }

  const JournalLimits limits_;
  JournalMetrics& metrics_;
  const Clock& clock_;
  Log& lines_;
  const std::string folder_;
  const std::uint64_t epoch_;

  // The writer thread's own.
  EpochLog log_;
  bool has_unsynced_ = false;
  Mono sync_due_ = {};
  std::function<void()> listener_;
  std::function<void()> commit_listener_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Pending> queue_;          // guarded by mutex_, as everything below
  bool has_urgent_ = false;             // something in queue_ is waited for
  bool has_progress_ = false;           // something in queue_ is not
  bool is_asked_ = false;               // progress found the writer asleep for too long
  Mono looks_at_ = Mono::min();         // when the writer looks at queue_ by itself; least: it is awake
  std::uint64_t pending_bytes_ = 0;
  std::uint64_t disk_bytes_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t freed_through_ = 0;
  bool is_stopping_ = false;
  Durable durable_;
  std::atomic<bool> has_failed_ = false;
  std::thread writer_;
};

}  // namespace tidegate::gateway
