#include "base/pg/binary_array.h"

#include <array>
#include <chrono>

#include "base/core/check.h"

namespace tidegate::pg {

namespace {

/// PostgreSQL counts microseconds from 2000-01-01.
constexpr std::int64_t kEpochMicros = 946'684'800'000'000;
constexpr std::size_t kHeaderBytes = 20;
constexpr int kGroupDecimals = 4;  // numeric is kept in base 10,000
constexpr std::uint64_t kGroup = 10'000;
constexpr std::size_t kGroupsMax = 12;  // 39 digits of an Int128 and the gap at the point

template <typename Integer>
void put(std::string& out, Integer value) {
  const auto bits = static_cast<std::make_unsigned_t<Integer>>(value);
  for (int shift = static_cast<int>(sizeof(Integer)) * 8 - 8; shift >= 0; shift -= 8) {
    out += static_cast<char>(static_cast<std::uint8_t>(bits >> shift));
  }
}

}  // namespace

BinaryArray::BinaryArray(ElementType type, std::size_t elements_approx) : type_(type) {
  elements_.reserve(elements_approx * 20);
}

void BinaryArray::begin(ElementType type, std::size_t bytes) {
  TG_CHECK(type == type_);
  ++size_;
  put(elements_, static_cast<std::int32_t>(bytes));
}

BinaryArray& BinaryArray::add(const Uuid& uuid) {
  begin(ElementType::kUuid, 16);
  elements_ += uuid.raw();
  return *this;
}

BinaryArray& BinaryArray::add(std::int64_t number) {
  begin(ElementType::kInt8, 8);
  put(elements_, number);
  return *this;
}

BinaryArray& BinaryArray::add(std::int32_t number) {
  begin(ElementType::kInt4, 4);
  put(elements_, number);
  return *this;
}

BinaryArray& BinaryArray::add(Wall wall) {
  begin(ElementType::kTimestamptz, 8);
  put(elements_, unix_micros(wall) - kEpochMicros);
  return *this;
}

BinaryArray& BinaryArray::add(Money money) {
  put_numeric(money.pico(), 12);
  return *this;
}

BinaryArray& BinaryArray::add_count(Int128 count) {
  put_numeric(count, 0);
  return *this;
}

BinaryArray& BinaryArray::add_text(std::string_view text) {
  begin(ElementType::kText, text.size());
  elements_ += text;
  return *this;
}

BinaryArray& BinaryArray::add_bytes(std::string_view raw) {
  begin(ElementType::kBytea, raw.size());
  elements_ += raw;
  return *this;
}

BinaryArray& BinaryArray::add_null() {
  ++size_;
  has_null_ = true;
  put(elements_, std::int32_t{-1});
  return *this;
}

/// Groups of four digits, the most significant first; neither the first nor the last is zero.
void BinaryArray::put_numeric(Int128 value, int decimals) {
  const bool is_negative = value < 0;
  auto rest = static_cast<unsigned __int128>(value);
  if (is_negative) rest = -rest;
  std::array<std::uint16_t, kGroupsMax> groups{};
  std::size_t count = 0;
  for (; rest >> 64 != 0; rest /= kGroup) groups[count++] = static_cast<std::uint16_t>(rest % kGroup);
  for (auto low = static_cast<std::uint64_t>(rest); low != 0; low /= kGroup) {
    groups[count++] = static_cast<std::uint16_t>(low % kGroup);
  }
  std::size_t zeros = 0;
  while (zeros < count && groups[zeros] == 0) ++zeros;
  begin(ElementType::kNumeric, 8 + 2 * (count - zeros));
  put(elements_, static_cast<std::int16_t>(count - zeros));
  put(elements_,
      static_cast<std::int16_t>(count == 0 ? 0 : static_cast<int>(count) - 1 - decimals / kGroupDecimals));
  put(elements_, static_cast<std::int16_t>(is_negative ? 0x4000 : 0));
  put(elements_, static_cast<std::int16_t>(decimals));
  for (std::size_t i = count; i > zeros; --i) put(elements_, groups[i - 1]);
}

pqxx::binarystring BinaryArray::param() const {
  std::string out;
  out.reserve(kHeaderBytes + elements_.size());
  put(out, std::int32_t{size_ == 0 ? 0 : 1});  // dimensions: an empty array has none
  put(out, std::int32_t{has_null_ ? 1 : 0});
  put(out, static_cast<std::uint32_t>(type_));
  if (size_ > 0) {
    put(out, static_cast<std::int32_t>(size_));
    put(out, std::int32_t{1});  // subscripts start at one
  }
  out += elements_;
  return pqxx::binarystring(out);
}

}  // namespace tidegate::pg
