#include "worker/tokenizer/byte_map.h"

#include <array>
#include <cstdint>

#include "worker/tokenizer/char_class.h"

namespace tidegate::worker {
namespace {

constexpr std::uint32_t kMapEnd = 0x100 + 68;
constexpr std::int16_t kUnmapped = -1;

constexpr bool stands_for_itself(std::uint32_t byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr std::array<std::int16_t, kMapEnd> kByteOfChar = [] {
  std::array<std::int16_t, kMapEnd> table{};
  table.fill(kUnmapped);
  std::uint32_t next = 0x100;
  for (std::uint32_t byte = 0; byte < 0x100; ++byte) {
    table[stands_for_itself(byte) ? byte : next++] = static_cast<std::int16_t>(byte);
  }
  return table;
}();

}  // namespace

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  for (std::size_t at = 0; at < spelling.size();) {
    const Char next = char_at(spelling, at);
    if (next.code_point >= kMapEnd || kByteOfChar[next.code_point] == kUnmapped) return std::nullopt;
    bytes.push_back(static_cast<char>(kByteOfChar[next.code_point]));
    at += next.bytes;
  }
  return bytes;
}

std::string spelling_of_bytes(std::string_view bytes) {
  static constexpr std::array<std::uint16_t, 0x100> kCharOfByte = [] {
    std::array<std::uint16_t, 0x100> table{};
    for (std::uint32_t code_point = 0; code_point < kMapEnd; ++code_point) {
      const std::int16_t byte = kByteOfChar[code_point];
      if (byte != kUnmapped) table[static_cast<std::size_t>(byte)] = static_cast<std::uint16_t>(code_point);
    }
    return table;
  }();
  std::string spelling;
  for (const char each : bytes) {
    const std::uint16_t code_point = kCharOfByte[static_cast<unsigned char>(each)];
    if (code_point < 0x80) {
      spelling.push_back(static_cast<char>(code_point));
    } else {
      spelling.push_back(static_cast<char>(0xc0 | code_point >> 6));
      spelling.push_back(static_cast<char>(0x80 | (code_point & 0x3f)));
    }
  }
  return spelling;
}

}  // namespace tidegate::worker
