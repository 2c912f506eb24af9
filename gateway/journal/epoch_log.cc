#include "gateway/journal/epoch_log.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <limits>

#include "base/core/check.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kSuffix = ".tgj";
constexpr std::string_view kMagic = "TGJ1";
// magic | epoch u64 | index u64 | first sequence u64 | boot 16 | gateway id
constexpr std::size_t kIdentityBytes = 4 + 8 + 8 + 8 + 16;

void put_u64(std::string& out, std::uint64_t value) { out.append(reinterpret_cast<const char*>(&value), 8); }
std::uint64_t get_u64(std::string_view data, std::size_t offset) {
  std::uint64_t value = 0;
  std::memcpy(&value, data.data() + offset, 8);
  return value;
}

std::unexpected<Error> corrupt(const std::string& where, std::string_view what) {
  return fail(Code::kDataLoss, "journal_corrupt", fmt::format("{}: {}", where, what));
}

}  // namespace

std::string segment_file_name(std::uint64_t index) { return fmt::format("{:08}{}", index, kSuffix); }

std::uint64_t segment_index_of(std::string_view file_name) {
  if (!file_name.ends_with(kSuffix)) return 0;
  const std::string_view digits = file_name.substr(0, file_name.size() - kSuffix.size());
  std::uint64_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  return error == std::errc() && end == digits.data() + digits.size() ? index : 0;
}

std::string EpochLog::path(std::uint64_t index) const { return folder_ + "/" + segment_file_name(index); }

Result<EpochLog> EpochLog::create(Disk& disk, std::string folder, Identity identity, std::uint64_t segment_bytes_max) {
  TG_CHECK(segment_bytes_max < std::numeric_limits<std::uint32_t>::max() / 2);
  TG_TRY(disk.make_folder(folder));
  EpochLog log(disk, std::move(folder), segment_bytes_max);
  log.identity_ = std::move(identity);
  TG_TRY(log.start_segment());
  return log;
}

Result<EpochLog> EpochLog::open(Disk& disk, std::string folder, std::uint64_t segment_bytes_max,
                                const RecordVisitor& visit) {
  EpochLog log(disk, std::move(folder), segment_bytes_max);
  TG_TRY(log.load(visit));
  return log;
}

Status EpochLog::load(const RecordVisitor& visit) {
  TG_ASSIGN(const auto names, disk_->list(folder_));
  std::vector<std::uint64_t> indices;
  for (const std::string& name : names) {
    if (const std::uint64_t index = segment_index_of(name); index > 0) indices.push_back(index);
  }
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (i > 0 && indices[i] != indices[i - 1] + 1) {
      return corrupt(folder_, fmt::format("segment {} is missing", indices[i - 1] + 1));
    }
    TG_TRY(load_segment(indices[i], i + 1 == indices.size(), visit));
  }
  if (segments_.empty()) return fail(Code::kNotFound, "journal_empty", folder_ + " holds no whole segment");
  synced_bytes_ = segments_.back().bytes;
  return {};
}

Status EpochLog::load_segment(std::uint64_t index, bool is_last, const RecordVisitor& visit) {
  TG_ASSIGN(const std::string data, disk_->read(path(index), 0, std::numeric_limits<std::uint64_t>::max()));
  segments_.push_back({.index = index});
  Status header = {};
  const auto accept = [&](const RecordView& record, std::uint64_t offset) {
    if (offset == 0) {
      header = read_header(record, index);
    } else if (header) {
      account(record);
      visit(record, offset);
    }
  };
  TG_ASSIGN(const std::uint64_t sound, scan_segment(data, is_last, path(index), accept));
  TG_TRY(header);
  // A segment is synced with its header before the next one begins, so an empty one in the middle was emptied later.
  if (sound == 0 && !is_last) return corrupt(path(index), "is empty and not the last segment");
  if (sound == 0) {  // the crash came while the segment was being created
    segments_.pop_back();
    TG_TRY(disk_->remove_file(path(index)));
    return disk_->sync_folder(folder_);
  }
  segments_.back().bytes = sound;
  if (!is_last) return {};
  // What a killed process wrote may be in the page cache only. Before anything is written behind it, it is
  // cut where it is torn and synced: a finished segment has no unsynced byte.
  TG_TRY(disk_->truncate(path(index), sound));
  return disk_->sync_folder(folder_);
}

Status EpochLog::read_header(const RecordView& record, std::uint64_t index) {
  const std::string_view data = record.payload;
  if (record.type != RecordType::kSegment || data.size() < kIdentityBytes || !data.starts_with(kMagic)) {
    return corrupt(path(index), "does not begin with a segment header");
  }
  const std::uint64_t first_sequence = get_u64(data, 20);
  Identity identity{.gateway_id = std::string(data.substr(kIdentityBytes)), .epoch = get_u64(data, 4), .boot = {}};
  std::memcpy(identity.boot.bytes.data(), data.data() + 28, 16);
  if (get_u64(data, 12) != index) return corrupt(path(index), "was renamed");
  if (segments_.size() == 1) {
    identity_ = std::move(identity);
    next_sequence_ = first_sequence;
  } else if (identity.epoch != identity_.epoch || identity.gateway_id != identity_.gateway_id ||
             first_sequence != next_sequence_) {
    return corrupt(path(index), "does not continue the segment before it");
  }
  return {};
}

void EpochLog::account(const RecordView& record) {
  Segment& segment = segments_.back();
  switch (record.type) {
    case RecordType::kAdmit:
      if (open_.emplace(record.request, segment.index).second) ++segment.open_admits;
      break;
    case RecordType::kFinal: {
      segment.last_final = record.sequence;
      next_sequence_ = record.sequence + 1;
      if (const auto found = open_.find(record.request); found != open_.end()) {
        --segments_[found->second - segments_.front().index].open_admits;
        open_.erase(found);
      }
      break;
    }
    case RecordType::kSegment:
    case RecordType::kProgress:
    case RecordType::kClosing:
      break;
  }
}

Status EpochLog::die(Error error) {
  error.reason = "journal_failed";
  state_ = fail(std::move(error));
  active_.reset();
  return state_;
}

Status EpochLog::write_all(std::string_view data) {
  while (!data.empty()) {
    const auto written = active_->write(data);
    if (!written) return die(written.error());
    data.remove_prefix(*written);
    segments_.back().bytes += *written;
  }
  return {};
}

Status EpochLog::start_segment() {
  if (active_) TG_TRY(sync());  // a finished segment has no unsynced byte: scan_segment relies on it
  const std::uint64_t index = segments_.empty() ? 1 : segments_.back().index + 1;
  auto file = disk_->create(path(index));
  if (!file) return die(file.error());
  active_ = *std::move(file);
  segments_.push_back({.index = index});
  synced_bytes_ = 0;
  Record header{.type = RecordType::kSegment, .sequence = 0, .request = {}, .payload = std::string(kMagic)};
  put_u64(header.payload, identity_.epoch);
  put_u64(header.payload, index);
  put_u64(header.payload, next_sequence_);
  header.payload.append(identity_.boot.raw());
  header.payload.append(identity_.gateway_id);
  std::string bytes;
  append_record(bytes, header, 0);
  TG_TRY(write_all(bytes));
  TG_TRY(sync());
  if (const Status named = disk_->sync_folder(folder_); !named) return die(named.error());
  return {};
}

std::uint64_t EpochLog::append(Record record) {
  std::uint64_t sequence = 0;
  if (record.type == RecordType::kFinal) {
    // account() moves next_sequence_ on only once the record is written.
    sequence = next_sequence_ + buffered_finals_++;
    record.sequence = sequence;
    if (record.seal) record.seal(sequence, record.payload);
  }
  buffered_bytes_ += kRecordHeaderBytes + record.payload.size();
  buffer_.push_back(std::move(record));
  return sequence;
}

Status EpochLog::write() {
  TG_TRY(state_);
  if (buffer_.empty()) return {};
  if (!active_ || segments_.back().bytes >= segment_bytes_max_) TG_TRY(start_segment());
  std::string bytes;
  bytes.reserve(buffered_bytes_);
  for (const Record& record : buffer_) append_record(bytes, record, static_cast<std::uint32_t>(synced_bytes_));
  TG_TRY(write_all(bytes));
  for (const Record& record : buffer_) {
    account({.type = record.type,
             .sequence = record.sequence,
             .request = record.request,
             .payload = record.payload,
             .synced_through = 0,
             .size = 0});
  }
  buffer_.clear();
  buffered_bytes_ = 0;
  buffered_finals_ = 0;
  return {};
}

Status EpochLog::sync() {
  TG_TRY(state_);
  if (!active_ || synced_bytes_ == segments_.back().bytes) return {};
  if (const Status synced = active_->sync(); !synced) return die(synced.error());
  synced_bytes_ = segments_.back().bytes;
  return {};
}

Status EpochLog::free_through(std::uint64_t acknowledged_sequence) {
  TG_TRY(state_);
  const auto is_done = [&](const Segment& segment) {
    return segment.open_admits == 0 && segment.last_final <= acknowledged_sequence;
  };
  if (segments_.size() < 2 || !is_done(segments_.front())) return {};
  // A FINAL that only the page cache has must not take its ADMIT away: after a power cut neither would be
  // left.
  TG_TRY(sync());
  while (segments_.size() > 1 && is_done(segments_.front())) {
    TG_TRY(disk_->remove_file(path(segments_.front().index)));
    // One at a time: if a later removal reached the disk first, the gap would read as lost data.
    TG_TRY(disk_->sync_folder(folder_));
    segments_.pop_front();
  }
  return {};
}

std::uint64_t EpochLog::bytes() const {
  std::uint64_t total = 0;
  for (const Segment& segment : segments_) total += segment.bytes;
  return total;
}

}  // namespace tidegate::gateway
