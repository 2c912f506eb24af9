#include "worker/format/gguf_head.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/core/check.h"

namespace tidegate::worker {
namespace {

constexpr std::uint32_t kU32 = 4;
constexpr std::uint32_t kI32 = 5;
constexpr std::uint32_t kF32 = 6;
constexpr std::uint32_t kBool = 7;
constexpr std::uint32_t kText = 8;
constexpr std::uint32_t kList = 9;

template <typename T>
void append_raw(std::string& out, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

void append_counted(std::string& out, std::string_view text) {
  append_raw(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

void append_list_head(std::string& out, std::uint32_t type, std::size_t count) {
  append_raw(out, type);
  append_raw(out, static_cast<std::uint64_t>(count));
}

bool fits_u32(std::int64_t value) { return value >= 0 && value <= std::numeric_limits<std::uint32_t>::max(); }
bool fits_i32(std::int64_t value) {
  return value >= std::numeric_limits<std::int32_t>::min() && value <= std::numeric_limits<std::int32_t>::max();
}

}  // namespace

void GgufHead::put_entry(std::string_view key, std::uint32_t type) {
  append_counted(values_, key);
  append_raw(values_, type);
  ++value_count_;
}

void GgufHead::put_whole(std::string_view key, std::int64_t value) {
  TG_CHECK(fits_u32(value));
  put_entry(key, kU32);
  append_raw(values_, static_cast<std::uint32_t>(value));
}

void GgufHead::put_number(std::string_view key, double value) {
  put_entry(key, kF32);
  append_raw(values_, static_cast<float>(value));
}

void GgufHead::put_flag(std::string_view key, bool value) {
  put_entry(key, kBool);
  append_raw(values_, static_cast<std::uint8_t>(value ? 1 : 0));
}

void GgufHead::put_text(std::string_view key, std::string_view value) {
  put_entry(key, kText);
  append_counted(values_, value);
}

void GgufHead::put_texts(std::string_view key, std::span<const std::string> values) {
  put_entry(key, kList);
  append_list_head(values_, kText, values.size());
  for (const std::string& value : values) append_counted(values_, value);
}

void GgufHead::put_wholes(std::string_view key, std::span<const std::int32_t> values) {
  put_entry(key, kList);
  append_list_head(values_, kI32, values.size());
  for (const std::int32_t value : values) append_raw(values_, value);
}

bool GgufHead::put_value(std::string_view key, const GgufValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) {
    put_flag(key, *flag);
  } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    if (!fits_u32(*whole)) return false;
    put_whole(key, *whole);
  } else if (const auto* number = std::get_if<double>(&value)) {
    put_number(key, *number);
  } else if (const auto* text = std::get_if<std::string_view>(&value)) {
    put_text(key, *text);
  } else if (const auto* wholes = std::get_if<std::vector<std::int64_t>>(&value)) {
    if (!std::ranges::all_of(*wholes, fits_i32)) return false;
    put_entry(key, kList);
    append_list_head(values_, kI32, wholes->size());
    for (const std::int64_t each : *wholes) append_raw(values_, static_cast<std::int32_t>(each));
  } else if (const auto* numbers = std::get_if<std::vector<double>>(&value)) {
    put_entry(key, kList);
    append_list_head(values_, kF32, numbers->size());
    for (const double each : *numbers) append_raw(values_, static_cast<float>(each));
  } else if (const auto* texts = std::get_if<std::vector<std::string_view>>(&value)) {
    put_entry(key, kList);
    append_list_head(values_, kText, texts->size());
    for (const std::string_view each : *texts) append_counted(values_, each);
  }
  return true;
}

std::string GgufHead::bytes(std::span<const StoredTensor> tensors) const {
  std::string out = "GGUF";
  append_raw(out, GgufFile::kVersion);
  append_raw(out, static_cast<std::uint64_t>(tensors.size()));
  append_raw(out, value_count_);
  out += values_;
  std::uint64_t offset = 0;
  for (const StoredTensor& tensor : tensors) {
    const auto type = gguf_type_of(tensor.dtype);
    TG_CHECK(type && tensor.name.size() <= GgufFile::kTensorNameBytesMax);
    append_counted(out, tensor.name);
    append_raw(out, static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) {
      append_raw(out, static_cast<std::uint64_t>(*size));
    }
    append_raw(out, *type);
    append_raw(out, offset);
    offset += padded(static_cast<std::uint64_t>(tensor.bytes()));
  }
  out.resize(padded(out.size()), '\0');
  return out;
}

}  // namespace tidegate::worker
