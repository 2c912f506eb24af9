// An epoch of the journal: a life, a death, and what the next life finds.
//
// Input: a byte of choice. Then three bytes about the death (a kill, a power cut or one flipped bit) and the steps of
// the life before it, which is compared with what the next one finds; or the segments themselves.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "gateway/journal/epoch_log.h"
#include "gateway/journal/final_reader.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/journal_bytes.h"
#include "tests/support/gateway/memory_disk.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kFolder = "journal/7";
constexpr std::uint64_t kSegmentBytes = 256;
constexpr std::size_t kStepsMax = 16;

struct Entry {
  RecordType type = RecordType::kAdmit;
  std::uint64_t sequence = 0;
  RequestId request;
  std::string payload;
  std::uint64_t segment = 0;
  bool operator==(const Entry& other) const {
    return type == other.type && sequence == other.sequence && request == other.request && payload == other.payload;
  }
};

RecordVisitor collect_into(std::vector<Entry>& out) {
  return [&out](const RecordView& view, std::uint64_t) {
    out.push_back({.type = view.type,
                   .sequence = view.sequence,
                   .request = view.request,
                   .payload = std::string(view.payload),
                   .segment = 0});
  };
}

std::string path_of(std::uint64_t segment) { return std::string(kFolder) + "/" + segment_file_name(segment); }

RequestId request_of(std::uint8_t n) {
  RequestId id;
  id.uuid.bytes[15] = n;
  return id;
}

/// FINALs as a shipper reads them, two at a time.
void check_finals(Disk& disk, const EpochLog& log, const std::vector<Entry>& records) {
  std::vector<std::string> wanted, read;
  for (const Entry& entry : records) {
    if (entry.type == RecordType::kFinal) wanted.push_back(entry.payload);
  }
  FinalReader reader(disk, std::string(kFolder));
  std::uint64_t after = 0;
  while (read.size() <= wanted.size()) {
    const auto finals = reader.read_after(after, log.first_segment(), log.synced(), 2);
    TG_CLAIM("what was recovered can be shipped", finals.has_value());
    if (finals->empty()) break;
    for (const FinalReader::Final& final : *finals) {
      TG_CLAIM("sequences rise", final.sequence > after);
      after = final.sequence;
      read.push_back(final.payload);
    }
  }
  TG_CLAIM("every FINAL is shipped once", read == wanted);
}

/// How a life ends, and what comes after.
struct Death {
  bool writes_first = false;
  bool goes_on = false;
  std::size_t place = 0;
  std::uint8_t which = 0;  ///< segment and bit
};

class Life {
 public:
  Life(fuzz::Input& input, Death death) : input_(input), death_(death) {
    auto created =
        EpochLog::create(disk_, std::string(kFolder), {.gateway_id = "g", .epoch = 7, .boot = {}}, kSegmentBytes);
    TG_CLAIM("an epoch begins", created.has_value());
    log_.emplace(*std::move(created));
  }

  void run() {
    for (std::size_t step = 0; step < kStepsMax && !input_.is_empty(); ++step) {
      const std::uint8_t what = input_.byte();
      if (what < 192) {
        append(what);
      } else if (what < 224) {
        write();
      } else if (what < 248) {
        write();
        TG_CLAIM("a good disk syncs", log_->sync());
        synced_ = written_.size();
      } else {
        free();
      }
    }
    if (death_.writes_first) write();
  }

  /// Everything written stays.
  void kill() {
    disk_.kill();
    TG_CLAIM("kill -9 loses nothing that was written", reopen() == written_);
    if (death_.goes_on) go_on();
  }

  void cut_power() {
    Rng rng(death_.place);
    disk_.cut_power(rng);
    const auto found = reopen();
    TG_CLAIM("a power cut leaves a prefix", is_prefix(found));
    TG_CLAIM("and everything that was synced", found.size() >= synced_);
    if (death_.goes_on) go_on();
  }

  void flip_a_bit() {
    const std::uint64_t segment = log_->first_segment() + death_.which / 8 % log_->segment_count();
    std::string bytes = disk_.content(path_of(segment));
    const std::size_t at = death_.place % bytes.size();
    bytes[at] = static_cast<char>(bytes[at] ^ 1 << death_.which % 8);
    const bool is_last = segment == log_->first_segment() + log_->segment_count() - 1;
    std::size_t sound = 0;
    for (const Entry& entry : written_) sound += entry.segment < segment ? 1 : 0;
    disk_.overwrite(path_of(segment), std::move(bytes));
    std::vector<Entry> found;
    const auto log = EpochLog::open(disk_, std::string(kFolder), kSegmentBytes, collect_into(found));
    TG_CLAIM("damage never changes a record", is_prefix(found));
    TG_CLAIM("what stands before it is read", found.size() >= sound);
    if (log) {
      TG_CLAIM("damage in a finished segment is never cut", is_last);
    } else {
      TG_CLAIM("damage is named", log.error().reason == "journal_corrupt" || log.error().reason == "journal_empty");
    }
  }

 private:
  void append(std::uint8_t what) {
    Record record;
    record.type = static_cast<RecordType>(2 + what % 4);
    record.request = request_of(static_cast<std::uint8_t>(what / 4 % 8));
    record.payload = std::string(input_.piece().substr(0, 96));
    Entry entry{.type = record.type, .sequence = 0, .request = record.request, .payload = record.payload, .segment = 0};
    entry.sequence = log_->append(std::move(record));
    TG_CLAIM("FINALs are numbered from one", entry.sequence == (entry.type == RecordType::kFinal ? ++finals_ : 0));
    buffered_.push_back(std::move(entry));
  }

  void write() {
    TG_CLAIM("a good disk writes", log_->write());
    for (Entry& entry : buffered_) {
      entry.segment = log_->synced().segment;
      written_.push_back(std::move(entry));
    }
    // Only the last segment can hold what is not synced.
    while (synced_ < written_.size() && written_[synced_].segment < log_->synced().segment) ++synced_;
    buffered_.clear();
  }

  void free() {
    const std::uint64_t acknowledged = input_.byte();
    TG_CLAIM("a good disk frees", log_->free_through(acknowledged));
    while (!written_.empty() && written_.front().segment < log_->first_segment()) {
      TG_CLAIM("nothing is freed that was not acknowledged", written_.front().sequence <= acknowledged);
      written_.erase(written_.begin());
      synced_ -= synced_ > 0 ? 1 : 0;
    }
  }

  bool is_prefix(const std::vector<Entry>& found) const {
    return found.size() <= written_.size() && std::equal(found.begin(), found.end(), written_.begin());
  }

  std::vector<Entry> reopen() {
    std::vector<Entry> found;
    auto log = EpochLog::open(disk_, std::string(kFolder), kSegmentBytes, collect_into(found));
    TG_CLAIM("the next life begins", log.has_value());
    TG_CLAIM("it knows whose epoch it is", log->identity().gateway_id == "g" && log->identity().epoch == 7);
    log_.emplace(*std::move(log));
    check_finals(disk_, *log_, found);
    return found;
  }

  /// A second life appends, and a third finds both.
  void go_on() {
    const std::uint64_t last = log_->last_sequence();
    std::vector<Entry> before;
    TG_CLAIM("a recovered epoch opens again",
             EpochLog::open(disk_, std::string(kFolder), kSegmentBytes, collect_into(before)).has_value());
    Record record;
    record.type = RecordType::kFinal;
    record.request = request_of(200);
    record.payload = "second life";
    Entry entry{
        .type = record.type, .sequence = last + 1, .request = record.request, .payload = record.payload, .segment = 0};
    TG_CLAIM("numbers go on", log_->append(std::move(record)) == last + 1);
    TG_CLAIM("and so does writing", log_->write() && log_->sync());
    before.push_back(std::move(entry));
    written_ = std::move(before);
    TG_CLAIM("nothing of either life is lost", reopen() == written_);
  }

  fuzz::Input& input_;
  const Death death_;
  test::MemoryDisk disk_;
  std::optional<EpochLog> log_;
  std::vector<Entry> buffered_, written_;
  std::size_t synced_ = 0;  ///< of written_
  std::uint64_t finals_ = 0;
};

/// Segments out of the input: whole files, or records behind a header that fits.
void open_foreign_segments(fuzz::Input& input) {
  test::MemoryDisk disk;
  const std::size_t count = 1 + input.below(3);
  std::uint64_t sequence = input.number(1);
  for (std::uint64_t segment = 1; segment <= count; ++segment) {
    const std::uint8_t choice = input.byte();
    std::string bytes;
    if ((choice & 1) != 0) {
      std::string header = "TGJ1";
      const auto put = [&header](std::uint64_t value) {
        for (int i = 0; i < 8; ++i) header += static_cast<char>(value >> 8 * i & 255);
      };
      put(7);
      put(segment);
      put((choice & 2) != 0 ? input.number(8) : sequence);
      header.append(16, '\0');
      append_record(bytes, Record{.type = RecordType::kSegment, .sequence = 0, .request = {}, .payload = header + "g"},
                    0);
    }
    const std::size_t records = input.below(4);
    for (std::size_t i = 0; i < records; ++i) {
      Record record;
      record.type = static_cast<RecordType>(1 + input.below(5));
      record.sequence = input.flag() ? ++sequence : input.number(8);
      record.request = request_of(input.byte());
      record.payload = std::string(input.piece());
      append_record(bytes, record, static_cast<std::uint32_t>(input.number(2)));
    }
    std::string raw(input.piece());
    if ((choice & 4) != 0) fuzz::repair_checksums(raw);
    disk.overwrite(path_of(segment), bytes + raw);
  }
  std::vector<Entry> first, second;
  auto log = EpochLog::open(disk, std::string(kFolder), kSegmentBytes, collect_into(first));
  if (!log) {
    TG_CLAIM("foreign segments are refused by name",
             log.error().reason == "journal_corrupt" || log.error().reason == "journal_empty");
    return;
  }
  TG_CLAIM("open requests were admitted", log->open_count() <= first.size());
  TG_CLAIM("no segment is skipped", log->synced().segment + 1 == log->first_segment() + log->segment_count());
  const auto again = EpochLog::open(disk, std::string(kFolder), kSegmentBytes, collect_into(second));
  TG_CLAIM("recovery finds the same twice", again && first == second && again->last_sequence() == log->last_sequence());
  FinalReader reader(disk, std::string(kFolder));
  static_cast<void>(reader.read_after(input.byte(), log->first_segment(), log->synced(), 64));
  TG_CLAIM("what may be freed can be freed", log->free_through(std::numeric_limits<std::uint64_t>::max()));
}

}  // namespace
}  // namespace tidegate::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate::gateway;
  tidegate::fuzz::Input input(data, size);
  const std::uint8_t first = input.byte();
  const int choice = first % 4;
  if (choice == 3) {
    open_foreign_segments(input);
    return 0;
  }
  Death death{.writes_first = (first & 4) != 0, .goes_on = (first & 8) != 0, .place = 0, .which = 0};
  death.place = input.number(2);
  death.which = input.byte();
  Life life(input, death);
  life.run();
  if (choice == 0) {
    life.kill();
  } else if (choice == 1) {
    life.cut_power();
  } else {
    life.flip_a_bit();
  }
  return 0;
}
