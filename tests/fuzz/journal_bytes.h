#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

/// The journal's format a second time, from its description and not from its code, to hold against it.
namespace tidegate::fuzz {

inline constexpr std::size_t kHeaderBytes = 37;
inline constexpr std::size_t kPayloadMax = 65'536;

inline std::uint32_t reference_crc(std::string_view data) {
  static const auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? value >> 1 ^ 0x82f63b78U : value >> 1;
      table[i] = value;
    }
    return table;
  }();
  std::uint32_t crc = 0xffffffffU;
  for (const char c : data) crc = crc >> 8 ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 255];
  return crc ^ 0xffffffffU;
}

inline std::uint64_t little_endian(std::string_view data, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i > 0; --i) value = value << 8 | static_cast<unsigned char>(data[at + i - 1]);
  return value;
}

struct ReferenceRecord {
  std::uint64_t type, sequence, synced_through;
  std::size_t size;
};

/// The record at the start of `data`, if it is whole and sound.
inline std::optional<ReferenceRecord> reference_record(std::string_view data) {
  if (data.size() < kHeaderBytes) return std::nullopt;
  const std::uint64_t length = little_endian(data, 4, 4);
  if (length > kPayloadMax || kHeaderBytes + length > data.size()) return std::nullopt;
  const ReferenceRecord record{.type = little_endian(data, 12, 1),
                               .sequence = little_endian(data, 13, 8),
                               .synced_through = little_endian(data, 8, 4),
                               .size = kHeaderBytes + static_cast<std::size_t>(length)};
  if (record.type < 1 || record.type > 5) return std::nullopt;
  if (reference_crc(data.substr(4, record.size - 4)) != little_endian(data, 0, 4)) return std::nullopt;
  return record;
}

/// Puts the right checksums into bytes that have the lengths of records: no search would ever find them.
inline void repair_checksums(std::string& data) {
  std::size_t at = 0;
  while (at + kHeaderBytes <= data.size()) {
    const std::string_view rest = std::string_view(data).substr(at);
    const std::uint64_t length = little_endian(rest, 4, 4);
    if (length > kPayloadMax || kHeaderBytes + length > rest.size()) return;
    const std::uint32_t crc = reference_crc(rest.substr(4, kHeaderBytes - 4 + static_cast<std::size_t>(length)));
    for (std::size_t i = 0; i < 4; ++i) data[at + i] = static_cast<char>(crc >> 8 * i & 255);
    at += kHeaderBytes + static_cast<std::size_t>(length);
  }
}

}  // namespace tidegate::fuzz
