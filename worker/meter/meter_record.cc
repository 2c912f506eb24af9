#include "worker/meter/meter_record.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/core/encoding.h"

namespace tidegate::worker {

namespace {

static_assert(std::endian::native == std::endian::little, "the layout is written as it lies in memory");

constexpr std::uint8_t kVersion = 1;
constexpr auto kFinishMax = static_cast<std::uint8_t>(FinishReason::kToolCalls);

struct Layout {
  std::uint32_t crc = 0;
  std::uint8_t finish = 0;
  std::uint8_t version = kVersion;
  std::uint16_t zero = 0;
  std::array<std::uint8_t, 16> request{};
  std::int64_t finished_us = 0;
  std::uint32_t prompt = 0, cached = 0, completion = 0, reasoning = 0;
};
static_assert(sizeof(Layout) == kMeterRecordBytes);

std::string_view covered(std::string_view bytes) { return bytes.substr(sizeof(Layout::crc)); }

}  // namespace

bool MeterRecord::operator==(const MeterRecord& other) const { return encode_record(*this) == encode_record(other); }

std::string encode_record(const MeterRecord& record) {
  Layout layout;
  layout.finish = static_cast<std::uint8_t>(record.entry.finish);
  layout.request = record.entry.request.uuid.bytes;
  layout.finished_us = unix_micros(record.finished);
  layout.prompt = static_cast<std::uint32_t>(record.entry.usage.prompt_tokens);
  layout.cached = static_cast<std::uint32_t>(record.entry.usage.cached_tokens);
  layout.completion = static_cast<std::uint32_t>(record.entry.usage.completion_tokens);
  layout.reasoning = static_cast<std::uint32_t>(record.entry.usage.reasoning_tokens);
  std::string bytes(kMeterRecordBytes, '\0');
  std::memcpy(bytes.data(), &layout, sizeof layout);
  layout.crc = crc32c(covered(bytes));
  std::memcpy(bytes.data(), &layout.crc, sizeof layout.crc);
  return bytes;
}

std::optional<MeterRecord> decode_record(std::string_view bytes) {
  if (bytes.size() != kMeterRecordBytes) return std::nullopt;
  Layout layout;
  std::memcpy(&layout, bytes.data(), sizeof layout);
  if (layout.crc != crc32c(covered(bytes)) || layout.version != kVersion || layout.finish > kFinishMax) return std::nullopt;
  MeterRecord record;
  record.entry.request.uuid.bytes = layout.request;
  record.entry.finish = static_cast<FinishReason>(layout.finish);
  record.entry.usage = {.prompt_tokens = static_cast<std::int32_t>(layout.prompt),
                        .cached_tokens = static_cast<std::int32_t>(layout.cached),
                        .completion_tokens = static_cast<std::int32_t>(layout.completion),
                        .reasoning_tokens = static_cast<std::int32_t>(layout.reasoning)};
  record.finished = wall_from_unix_micros(layout.finished_us);
  return record;
}

std::vector<MeterRecord> decode_records(std::string_view bytes) {
  std::vector<MeterRecord> records;
  while (bytes.size() >= kMeterRecordBytes) {
    const auto record = decode_record(bytes.substr(0, kMeterRecordBytes));
    if (!record) break;
    records.push_back(*record);
    bytes.remove_prefix(kMeterRecordBytes);
  }
  return records;
}

std::string_view finish_name(FinishReason finish) {
  switch (finish) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "cancelled";
    case FinishReason::kError: return "error";
    case FinishReason::kToolCalls: return "stop";  // billing holds counts against counts: which stop is nothing to it
  }
  return "";
}

}  // namespace tidegate::worker
