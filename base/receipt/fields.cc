#include "base/receipt/fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/core/check.h"
#include "base/core/encoding.h"

namespace tidegate::receipt {
namespace {

constexpr std::size_t kMoneyBytes = 16;

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 255);
}

std::uint64_t big_endian(std::string_view raw) {
  std::uint64_t value = 0;
  for (const char byte : raw) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

bool is_control(char c) { return static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f; }

}  // namespace

void FieldWriter::text(std::string_view value) {
  std::string fit(value.substr(0, kTextBytesMax));
  // A cut may fall into a character of up to four bytes.
  for (int i = 0; i < 3 && fit.size() < value.size() && !is_valid_utf8(fit); ++i) fit.pop_back();
  const bool is_sound = is_valid_utf8(fit);
  for (char& c : fit) {
    if (is_control(c) || (!is_sound && static_cast<std::uint8_t>(c) >= 0x80)) c = '?';
  }
  bytes(fit);
}

void FieldWriter::bytes(std::string_view value) {
  TG_CHECK(value.size() <= kFieldBytesMax);
  append_big_endian(out_, value.size(), kLengthBytes);
  out_ += value;
}

void FieldWriter::u8(std::uint8_t value) {
  append_big_endian(out_, 1, kLengthBytes);
  out_ += static_cast<char>(value);
}

void FieldWriter::u64(std::uint64_t value) {
  append_big_endian(out_, sizeof(value), kLengthBytes);
  append_big_endian(out_, value, sizeof(value));
}

void FieldWriter::money(Money value) {
  const auto pico = static_cast<unsigned __int128>(value.pico());
  append_big_endian(out_, kMoneyBytes, kLengthBytes);
  append_big_endian(out_, static_cast<std::uint64_t>(pico >> 64), 8);
  append_big_endian(out_, static_cast<std::uint64_t>(pico), 8);
}

FieldReader::FieldReader(std::string_view data, std::string_view magic) : data_(data) {
  if (!data_.starts_with(magic)) {
    refuse("format", fmt::format("begins with other letters than {}", magic));
    return;
  }
  data_.remove_prefix(magic.size());
}

void FieldReader::refuse(std::string_view name, std::string_view why) {
  if (!status_) return;
  status_ = fail(Code::kInvalidArgument, "bad_receipt", fmt::format("{}: {}", name, why), std::string(name));
}

std::string_view FieldReader::bytes(std::string_view name, std::size_t size_max) {
  if (!status_) return {};
  if (data_.size() < kLengthBytes) {
    refuse(name, "the data ends before it");
    return {};
  }
  const auto size = static_cast<std::size_t>(big_endian(data_.substr(0, kLengthBytes)));
  if (size > size_max || size > data_.size() - kLengthBytes) {
    refuse(name, fmt::format("its length {} is more than {}", size, std::min(size_max, data_.size() - kLengthBytes)));
    return {};
  }
  const auto value = data_.substr(kLengthBytes, size);
  data_.remove_prefix(kLengthBytes + size);
  return value;
}

std::string_view FieldReader::exactly(std::string_view name, std::size_t size) {
  const auto value = bytes(name, size);
  if (status_ && value.size() != size) refuse(name, fmt::format("it has {} bytes, not {}", value.size(), size));
  return status_ ? value : std::string_view();
}

std::string FieldReader::text(std::string_view name) {
  const auto value = bytes(name, kTextBytesMax);
  if (status_ && (!is_valid_utf8(value) || std::ranges::any_of(value, is_control)))
    refuse(name, "it is not printable text");
  return status_ ? std::string(value) : std::string();
}

std::uint8_t FieldReader::u8(std::string_view name) {
  const auto value = exactly(name, 1);
  return value.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(value.front());
}

std::uint64_t FieldReader::u64(std::string_view name) { return big_endian(exactly(name, sizeof(std::uint64_t))); }

Money FieldReader::money(std::string_view name) {
  const auto raw = exactly(name, kMoneyBytes);
  if (raw.empty()) return {};
  const auto high = static_cast<unsigned __int128>(big_endian(raw.substr(0, 8)));
  const auto pico = static_cast<Int128>(high << 64 | big_endian(raw.substr(8)));
  constexpr Int128 kLimit = static_cast<Int128>(10'000'000'000'000'000'000ULL) * 10'000'000'000'000'000'000ULL;
  if (pico <= -kLimit || pico >= kLimit) {
    refuse(name, "it is no amount of money");
    return {};
  }
  return Money::from_pico(pico);
}

Uuid FieldReader::uuid(std::string_view name) {
  const auto raw = exactly(name, 16);
  return raw.empty() ? Uuid{} : *Uuid::from_bytes(raw);
}

Status FieldReader::end() {
  if (!data_.empty()) refuse("end", fmt::format("{} bytes are left over", data_.size()));
  return status_;
}

}  // namespace tidegate::receipt
