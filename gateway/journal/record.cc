#include "gateway/journal/record.h"

#include <bit>
#include <cstring>

#include "base/core/check.h"
#include "base/core/encoding.h"

namespace tidegate::gateway {
namespace {

static_assert(std::endian::native == std::endian::little, "the journal is little-endian and never leaves its machine");

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <typename T>
T get(std::string_view data, std::size_t offset) {
  T value;
  std::memcpy(&value, data.data() + offset, sizeof(value));
  return value;
}

constexpr std::size_t kCrcBytes = 4;
constexpr std::size_t kRequestOffset = 21;

}  // namespace

void append_record(std::string& out, const Record& record, std::uint32_t synced_through) {
  TG_CHECK(record.payload.size() <= kPayloadBytesMax);
  const std::size_t start = out.size();
  put(out, std::uint32_t{0});
  put(out, static_cast<std::uint32_t>(record.payload.size()));
  put(out, synced_through);
  put(out, static_cast<std::uint8_t>(record.type));
  put(out, record.sequence);
  out.append(record.request.raw());
  out.append(record.payload);
  const std::uint32_t crc = crc32c(std::string_view(out).substr(start + kCrcBytes));
  std::memcpy(out.data() + start, &crc, sizeof(crc));
}

std::optional<RecordView> read_record(std::string_view data) {
  if (data.size() < kRecordHeaderBytes) return std::nullopt;
  const auto length = get<std::uint32_t>(data, 4);
  // Cheap refusals first: a search for later records calls this at every byte.
  if (length > kPayloadBytesMax || data.size() - kRecordHeaderBytes < length) return std::nullopt;
  const auto type = get<std::uint8_t>(data, 12);
  if (type < static_cast<std::uint8_t>(RecordType::kSegment) || type > static_cast<std::uint8_t>(RecordType::kClosing)) {
    return std::nullopt;
  }
  const std::size_t size = kRecordHeaderBytes + length;
  if (crc32c(data.substr(kCrcBytes, size - kCrcBytes)) != get<std::uint32_t>(data, 0)) return std::nullopt;
  RecordView view{.type = static_cast<RecordType>(type),
                  .sequence = get<std::uint64_t>(data, 13),
                  .request = {},
                  .payload = data.substr(kRecordHeaderBytes, length),
                  .synced_through = get<std::uint32_t>(data, 8),
                  .size = size};
  std::memcpy(view.request.uuid.bytes.data(), data.data() + kRequestOffset, view.request.uuid.bytes.size());
  return view;
}

}  // namespace tidegate::gateway
