#include "gateway/journal/journal.h"

#include <algorithm>
#include <utility>

#include "base/core/check.h"

namespace tidegate::gateway {
namespace {

std::uint64_t size_of(const Record& record) { return kRecordHeaderBytes + record.payload.size(); }

Error failed_error() {
  return Error(Code::kUnavailable, "journal_failed",
               "this gateway's journal cannot be written; it is shutting down, try again on another one");
}

}  // namespace

Journal::Journal(EpochLog log, JournalLimits limits, JournalMetrics& metrics, const Clock& clock, Log& lines)
    : limits_(limits),
      metrics_(metrics),
      clock_(clock),
      lines_(lines),
      folder_(log.folder()),
      epoch_(log.identity().epoch),
      log_(std::move(log)) {
  publish();
  writer_ = std::thread([this] { run(); });
}

Journal::~Journal() { stop(); }

void Journal::on_change(std::function<void()> listener) {
  const std::lock_guard lock(mutex_);
  listener_ = std::move(listener);
}

void Journal::on_commit(std::function<void()> listener) {
  const std::lock_guard lock(mutex_);
  commit_listener_ = std::move(listener);
}

bool Journal::is_full() const {
  const std::lock_guard lock(mutex_);
  return charged_bytes() >= limits_.quota_bytes;
}

void Journal::append(Record record, Done done) {
  std::optional<Error> refusal;
  {
    const std::lock_guard lock(mutex_);
    if (has_failed() || is_stopping_) {
      refusal = failed_error();
    } else if (record.type == RecordType::kAdmit &&
               (charged_bytes() >= limits_.quota_bytes || pending_bytes_ >= limits_.pending_bytes_max)) {
      refusal = Error(Code::kUnavailable, "journal_full",
                      "this gateway holds too much usage that billing has not taken yet; try again soon");
    } else {
      pending_bytes_ += size_of(record);
      queue_.push_back({std::move(record), std::move(done)});
      if (std::exchange(has_urgent_, true)) return;  // the writer is awake already
    }
  }
  if (!refusal) {
    wake_.notify_one();
    return;
  }
  if (record.type == RecordType::kAdmit) metrics_.refused_admissions.add();
  done(fail(*std::move(refusal)));
}

void Journal::append_progress(Record record) {
  {
    const std::lock_guard lock(mutex_);
    if (has_failed() || is_stopping_ || pending_bytes_ >= limits_.pending_bytes_max) {
      metrics_.dropped_progress.add();
      return;
    }
    pending_bytes_ += size_of(record);
    queue_.push_back({std::move(record), nullptr});
    has_progress_ = true;
    // Waking the writer for every one of them costs more than writing it does: it looks soon enough by itself.
    if (is_asked_ || looks_at_ <= clock_.mono() + limits_.progress_write) return;
    is_asked_ = true;
  }
  wake_.notify_one();
}

void Journal::acknowledge(std::uint64_t sequence) {
  {
    const std::lock_guard lock(mutex_);
    if (sequence <= acknowledged_) return;
    acknowledged_ = sequence;
  }
  wake_.notify_one();
}

Journal::Durable Journal::durable() const {
  const std::lock_guard lock(mutex_);
  return durable_;
}

void Journal::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_one();
  if (writer_.joinable()) writer_.join();
}

void Journal::run() {
  bool had_progress = false;  // streams are under way: more of it comes
  for (;;) {
    std::vector<Pending> batch;
    std::uint64_t free_through = 0;
    bool must_sync = false;
    bool is_last = false;
    {
      std::unique_lock lock(mutex_);
      const auto has_work = [&] {
        return has_urgent_ || is_asked_ || acknowledged_ > freed_through_ || is_stopping_;
      };
      looks_at_ = has_unsynced_ ? sync_due_ : Mono::max();
      if (had_progress || has_progress_) looks_at_ = std::min(looks_at_, clock_.mono() + limits_.progress_write);
      if (looks_at_ == Mono::max()) {
        wake_.wait(lock, has_work);
      } else {
        wake_.wait_for(lock, looks_at_ - clock_.mono(), has_work);
      }
      looks_at_ = Mono::min();
      is_asked_ = false;
      batch.swap(queue_);
      must_sync = std::exchange(has_urgent_, false);
      had_progress = std::exchange(has_progress_, false);
      pending_bytes_ = 0;
      free_through = std::exchange(freed_through_, acknowledged_) < acknowledged_ ? acknowledged_ : 0;
      is_last = is_stopping_ && batch.empty();
    }
    if (is_last) must_sync = true;
    const bool is_sync_due = has_unsynced_ && (must_sync || clock_.mono() >= sync_due_);
    if (!batch.empty() || is_sync_due) commit(std::move(batch), must_sync);
    if (free_through > 0 && !has_failed()) {
      // A file that will not go costs disk space only; the quota guards that.
      if (const Status freed = log_.free_through(free_through); !freed) {
        lines_.warn("journal_free_failed", {kv("error", freed.error().to_string())});
      }
      publish();
    }
    if (is_last) return;
  }
}

void Journal::commit(std::vector<Pending> batch, bool must_sync) {
  if (has_failed()) return fail_all(batch, failed_error());
  std::vector<std::uint64_t> sequences;
  sequences.reserve(batch.size());
  for (Pending& pending : batch) sequences.push_back(log_.append(std::move(pending.record)));
  metrics_.records.add(static_cast<double>(batch.size()));
  metrics_.batch_records.observe(static_cast<double>(batch.size()));
  if (const Status written = write_and_sync(must_sync); !written) {
    has_failed_.store(true, std::memory_order_relaxed);
    has_unsynced_ = false;  // for ever: there is no sync to come back for
    metrics_.failures.add();
    lines_.error("journal_failed", {kv("error", written.error().to_string())});
    fail_all(batch, written.error());
    if (listener_) listener_();
    return;
  }
  const std::uint64_t before = durable_.last_sequence;
  // Before publish(): who ships reads what is published.
  if (commit_listener_ && log_.last_sequence() > before) commit_listener_();
  publish();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].done) batch[i].done(sequences[i]);
  }
  if (durable_.last_sequence > before && listener_) listener_();
}

Status Journal::write_and_sync(bool must_sync) {
  const Mono begin = clock_.mono();
  const std::uint64_t bytes = log_.buffered_bytes();
  TG_TRY(log_.write());
  metrics_.written_bytes.add(static_cast<double>(bytes));
  if (!has_unsynced_) sync_due_ = begin + limits_.progress_sync;
  has_unsynced_ = true;
  if (!must_sync && begin < sync_due_) return {};
  TG_TRY(log_.sync());
  has_unsynced_ = false;
  metrics_.sync_seconds.observe(std::chrono::duration<double>(clock_.mono() - begin).count());
  return {};
}

void Journal::fail_all(std::vector<Pending>& batch, const Error& error) {
  for (Pending& pending : batch) {
    if (pending.done) pending.done(fail(error));
  }
}

void Journal::publish() {
  metrics_.disk_bytes.set(static_cast<double>(log_.bytes()));
  metrics_.open_requests.set(static_cast<double>(log_.open_count()));
  metrics_.segments.set(static_cast<double>(log_.segment_count()));
  const std::lock_guard lock(mutex_);
  disk_bytes_ = log_.bytes();
  durable_.first_segment = log_.first_segment();
  if (has_unsynced_) return;
  durable_.last_sequence = log_.last_sequence();
  durable_.end = log_.synced();
}

}  // namespace tidegate::gateway
