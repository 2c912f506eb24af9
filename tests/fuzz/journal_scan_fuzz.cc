// One segment of the journal, whatever the disk made of it.
//
// Input: a byte of choice (is it the last segment, are checksums repaired, which bit is then flipped where), then
// bytes.
#include <string>

#include "base/core/result.h"
#include "gateway/journal/segment_scan.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/journal_bytes.h"

namespace tidegate::gateway {
namespace {

/// How many bytes from the start are sound records.
std::size_t reference_prefix(std::string_view data) {
  std::size_t at = 0;
  while (const auto record = fuzz::reference_record(data.substr(at))) at += record->size;
  return at;
}

/// Does a later record say that the bytes at `bad` were on disk before it was written?
bool was_promised(std::string_view data, std::size_t bad) {
  for (std::size_t at = bad + 1; at < data.size(); ++at) {
    const auto record = fuzz::reference_record(data.substr(at));
    if (record && record->synced_through > bad && record->synced_through <= at) return true;
  }
  return false;
}

void check(const std::string& data, bool is_last) {
  std::size_t next = 0;
  const auto visit = [&](const RecordView& view, std::uint64_t offset) {
    TG_CLAIM("records follow each other", offset == next);
    const auto record = fuzz::reference_record(std::string_view(data).substr(next));
    TG_CLAIM("no record with a wrong checksum", record && record->size == view.size);
    TG_CLAIM("its numbers are the file's", record->sequence == view.sequence &&
                                               record->type == static_cast<std::uint64_t>(view.type) &&
                                               record->synced_through == view.synced_through);
    TG_CLAIM(
        "a record is inside of the file",
        view.payload.data() >= data.data() && view.payload.data() + view.payload.size() <= data.data() + data.size());
    std::string again;
    append_record(again,
                  Record{.type = view.type,
                         .sequence = view.sequence,
                         .request = view.request,
                         .payload = std::string(view.payload)},
                  view.synced_through);
    TG_CLAIM("one record has one encoding", data.compare(next, view.size, again) == 0);
    next += view.size;
  };
  const auto sound = scan_segment(data, is_last, "segment", visit);
  const std::size_t prefix = reference_prefix(data);
  TG_CLAIM("every record up to the first bad one is read", next == prefix);
  if (sound) {
    TG_CLAIM("the sound bytes are the records", *sound == prefix);
    TG_CLAIM("a finished segment is sound or lost", is_last || prefix == data.size());
    TG_CLAIM("nothing is cut that was promised", prefix == data.size() || !was_promised(data, prefix));
  } else {
    TG_CLAIM("damage is lost data", sound.error().code == Code::kDataLoss && sound.error().reason == "journal_corrupt");
    TG_CLAIM("only what was promised is lost", !is_last || was_promised(data, prefix));
    TG_CLAIM("there is damage", prefix < data.size());
  }
}

}  // namespace
}  // namespace tidegate::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tidegate;
  fuzz::Input input(data, size);
  const std::uint8_t choice = input.byte();
  const std::size_t place = input.number(2);
  std::string bytes(input.rest());
  if ((choice & 2) != 0) fuzz::repair_checksums(bytes);
  if ((choice & 4) != 0 && !bytes.empty()) {
    char& flipped = bytes[place % bytes.size()];
    flipped = static_cast<char>(flipped ^ (1 << (choice >> 5)));
  }
  gateway::check(bytes, (choice & 1) != 0);
  return 0;
}
