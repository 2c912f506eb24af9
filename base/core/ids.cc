#include "base/core/ids.h"

#include <cstring>

#include "base/core/encoding.h"

namespace tidegate {

std::string Uuid::to_string() const {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(36, '-');
  char* to = text.data();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) ++to;
    *to++ = kDigits[bytes[i] >> 4];
    *to++ = kDigits[bytes[i] & 15];
  }
  return text;
}

std::int64_t Uuid::unix_millis() const {
  std::int64_t millis = 0;
  for (std::size_t i = 0; i < 6; ++i) millis = millis << 8 | bytes[i];
  return millis;
}

Result<Uuid> Uuid::parse(std::string_view text) {
  const bool shape = text.size() == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-';
  std::string hex;
  if (shape) {
    for (const char c : text) {
      if (c != '-') hex += c;
    }
  }
  if (hex.size() == 32) {
    if (auto raw = hex_decode(hex)) return from_bytes(*raw);
  }
  return fail(Code::kInvalidArgument, "bad_uuid",
              "'" + std::string(text.substr(0, 64)) + "' is not a UUID such as 01956a3e-7c00-7000-8000-000000000000");
}

Result<Uuid> Uuid::from_bytes(std::string_view raw) {
  Uuid uuid;
  if (raw.size() != uuid.bytes.size()) {
    return fail(Code::kInvalidArgument, "bad_uuid", "an id has 16 bytes, not " + std::to_string(raw.size()));
  }
  std::memcpy(uuid.bytes.data(), raw.data(), raw.size());
  return uuid;
}

Uuid UuidV7Source::next() {
  Uuid uuid;
  {
    const std::lock_guard lock(mutex_);
    if (used_ == pool_.size()) {
      entropy_.fill(pool_.data(), pool_.size());
      used_ = 0;
    }
    std::memcpy(uuid.bytes.data() + 6, pool_.data() + used_, kRandomBytes);
    used_ += kRandomBytes;
  }
  const auto micros = static_cast<std::uint64_t>(unix_micros(clock_.wall()));
  for (std::size_t i = 0; i < 6; ++i) uuid.bytes[i] = static_cast<std::uint8_t>((micros / 1000) >> (40 - 8 * i));
  // Twelve of the random bits give way to the fraction of the millisecond, so that ids of one millisecond are in order as
  // well, to the microsecond (RFC 9562, 6.2, method 3).
  const std::uint64_t fraction = (micros % 1000 * 4096) / 1000;
  uuid.bytes[6] = static_cast<std::uint8_t>(0x70 | fraction >> 8);
  uuid.bytes[7] = static_cast<std::uint8_t>(fraction);
  uuid.bytes[8] = static_cast<std::uint8_t>(0x80 | (uuid.bytes[8] & 0x3f));
  return uuid;
}

}  // namespace tidegate
