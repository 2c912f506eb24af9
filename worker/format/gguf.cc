#include "worker/format/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/core/encoding.h"

namespace tidegate::worker {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is read as it lies in memory");

/// Type numbers of metadata values.
enum class ValueType : std::uint32_t {
  kU8 = 0, kI8 = 1, kU16 = 2, kI16 = 3, kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kText = 8, kList = 9, kU64 = 10,
  kI64 = 11, kF64 = 12
};

struct TensorType {
  std::uint32_t number;
  Dtype dtype;
};
constexpr TensorType kTensorTypes[] = {
    {0, Dtype::kF32},   {1, Dtype::kF16},  {2, Dtype::kQ4_0}, {3, Dtype::kQ4_1}, {6, Dtype::kQ5_0}, {7, Dtype::kQ5_1},
    {8, Dtype::kQ8_0},  {12, Dtype::kQ4K}, {13, Dtype::kQ5K}, {14, Dtype::kQ6K}, {30, Dtype::kBf16},
};
constexpr std::uint64_t kAlignmentDefault = 32;

/// A cursor over the file. Each read_ consumes one element or fails where it stands.
class GgufScanner {
 public:
  explicit GgufScanner(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }

  [[nodiscard]] std::unexpected<Error> error(std::string_view what, std::string field = {}) const {
    return fail(Code::kInvalidArgument, "bad_gguf", fmt::format("byte {}: {}", at_, what), std::move(field));
  }

  template <typename T>
  Result<T> read() {
    if (left() < sizeof(T)) return error(fmt::format("the file ends within a value of {} bytes", sizeof(T)));
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  Result<std::string_view> read_text(std::uint64_t bytes_max) {
    TG_ASSIGN(const auto length, read<std::uint64_t>());
    if (length > bytes_max) return error(fmt::format("a text of {} bytes; at most {} are allowed", length, bytes_max));
    if (length > left()) return error(fmt::format("a text of {} bytes, but {} are left", length, left()));
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    return text;
  }

  template <typename T>
  Result<std::int64_t> read_whole() {
    TG_ASSIGN(const T value, read<T>());
    if constexpr (sizeof(T) == 8 && std::is_unsigned_v<T>) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return error(fmt::format("number {} is above 2^63 - 1", value));
    }
    return static_cast<std::int64_t>(value);
  }

  Result<bool> read_bool() {
    TG_ASSIGN(const auto value, read<std::uint8_t>());
    if (value > 1) return error(fmt::format("{} where a bool is 0 or 1", value));
    return value == 1;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

bool is_known(std::uint32_t type) { return type <= static_cast<std::uint32_t>(ValueType::kF64); }

Result<std::int64_t> read_whole_of(GgufScanner& in, ValueType type) {
  switch (type) {
    case ValueType::kU8: return in.read_whole<std::uint8_t>();
    case ValueType::kI8: return in.read_whole<std::int8_t>();
    case ValueType::kU16: return in.read_whole<std::uint16_t>();
    case ValueType::kI16: return in.read_whole<std::int16_t>();
    case ValueType::kU32: return in.read_whole<std::uint32_t>();
    case ValueType::kI32: return in.read_whole<std::int32_t>();
    case ValueType::kU64: return in.read_whole<std::uint64_t>();
    case ValueType::kI64: return in.read_whole<std::int64_t>();
    case ValueType::kBool: {
      TG_ASSIGN(const bool value, in.read_bool());
      return value ? 1 : 0;
    }
    case ValueType::kF32:
    case ValueType::kF64:
    case ValueType::kText:
    case ValueType::kList: break;
  }
  return in.error("not a whole number");
}

Result<double> read_float_of(GgufScanner& in, ValueType type) {
  if (type == ValueType::kF64) return in.read<double>();
  TG_ASSIGN(const float value, in.read<float>());
  return static_cast<double>(value);
}

/// The fewest bytes that a value of this type takes in the file: what a list of them needs at least.
std::uint64_t bytes_at_least(ValueType type) {
  switch (type) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool: return 1;
    case ValueType::kU16:
    case ValueType::kI16: return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32: return 4;
    case ValueType::kText:
    case ValueType::kList:
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64: break;
  }
  return 8;  // of a text: its length
}

template <typename T, typename ReadOne>
Result<GgufValue> read_list_of(std::uint64_t count, ReadOne read_one) {
  std::vector<T> out;
  out.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    TG_ASSIGN(const T value, read_one());
    out.push_back(value);
  }
  return GgufValue(std::move(out));
}

Result<GgufValue> read_list(GgufScanner& in) {
  TG_ASSIGN(const auto number, in.read<std::uint32_t>());
  if (!is_known(number)) return in.error(fmt::format("list of unknown type {}", number));
  const auto type = static_cast<ValueType>(number);
  if (type == ValueType::kList) return in.error("a list of lists is not supported");
  TG_ASSIGN(const auto count, in.read<std::uint64_t>());
  if (count > GgufFile::kElementsMax) {
    return in.error(fmt::format("a list of {} elements; at most {} are allowed", count, GgufFile::kElementsMax));
  }
  // What is reserved stays in proportion to the file: a list that it cannot hold asks for nothing.
  if (count > in.left() / bytes_at_least(type)) {
    return in.error(fmt::format("a list of {} elements, but {} bytes are left", count, in.left()));
  }
  switch (type) {
    case ValueType::kText:
      return read_list_of<std::string_view>(count, [&] { return in.read_text(GgufFile::kTextBytesMax); });
    case ValueType::kF32:
    case ValueType::kF64:
      return read_list_of<double>(count, [&] { return read_float_of(in, type); });
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kU16:
    case ValueType::kI16:
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kBool:
    case ValueType::kList: break;
  }
  return read_list_of<std::int64_t>(count, [&] { return read_whole_of(in, type); });
}

Result<GgufValue> read_value(GgufScanner& in) {
  TG_ASSIGN(const auto number, in.read<std::uint32_t>());
  if (!is_known(number)) return in.error(fmt::format("value of unknown type {}", number));
  const auto type = static_cast<ValueType>(number);
  switch (type) {
    case ValueType::kBool: {
      TG_ASSIGN(const bool value, in.read_bool());
      return GgufValue(value);
    }
    case ValueType::kText: {
      TG_ASSIGN(const std::string_view value, in.read_text(GgufFile::kTextBytesMax));
      return GgufValue(value);
    }
    case ValueType::kF32:
    case ValueType::kF64: {
      TG_ASSIGN(const double value, read_float_of(in, type));
      return GgufValue(value);
    }
    case ValueType::kList: return read_list(in);
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kU16:
    case ValueType::kI16:
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kU64:
    case ValueType::kI64: break;
  }
  TG_ASSIGN(const std::int64_t value, read_whole_of(in, type));
  return GgufValue(value);
}

/// A tensor's description as read, before the data section is known.
struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;  ///< outermost first
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

Result<std::uint64_t> checked_gguf_bytes(const GgufScanner& in, const TensorInfo& info) {
  std::int64_t elements = 1;
  for (const std::int64_t size : info.shape) {
    if (__builtin_mul_overflow(elements, size, &elements)) {
      return in.error(fmt::format("tensor '{}': shape {} overflows", info.name, shape_text(info.shape)), info.name);
    }
  }
  const DtypeBlock block = dtype_block(info.dtype);
  if (info.shape.back() % block.elements != 0) {
    return in.error(fmt::format("tensor '{}': rows of {} do not hold whole {} blocks of {}", info.name,
                                info.shape.back(), dtype_name(info.dtype), block.elements),
                    info.name);
  }
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / block.elements, block.bytes, &bytes)) {
    return in.error(fmt::format("tensor '{}': shape {} overflows", info.name, shape_text(info.shape)), info.name);
  }
  return static_cast<std::uint64_t>(bytes);
}

Result<TensorInfo> read_info(GgufScanner& in) {
  TensorInfo info;
  TG_ASSIGN(const std::string_view name, in.read_text(GgufFile::kTensorNameBytesMax));
  if (name.empty()) return in.error("a tensor without a name");
  if (!is_valid_utf8(name)) return in.error("a tensor whose name is not UTF-8");
  info.name = name;
  TG_ASSIGN(const auto dims, in.read<std::uint32_t>());
  if (dims < 1 || dims > GgufFile::kDimsMax) {
    return in.error(fmt::format("tensor '{}' has {} dimensions; 1 to {} are allowed", name, dims, GgufFile::kDimsMax),
                    info.name);
  }
  for (std::uint32_t i = 0; i < dims; ++i) {
    TG_ASSIGN(const std::int64_t size, in.read_whole<std::uint64_t>());
    if (size < 1) return in.error(fmt::format("tensor '{}' has a dimension of 0", name), info.name);
    info.shape.push_back(size);
  }
  std::ranges::reverse(info.shape);
  TG_ASSIGN(const auto type, in.read<std::uint32_t>());
  const auto* known = std::ranges::find(kTensorTypes, type, &TensorType::number);
  if (known == std::end(kTensorTypes)) {
    return in.error(fmt::format("tensor '{}' is of type {}; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K "
                                "and Q6_K are supported",
                                name, type),
                    info.name);
  }
  info.dtype = known->dtype;
  TG_ASSIGN(info.offset, in.read<std::uint64_t>());
  TG_ASSIGN(info.bytes, checked_gguf_bytes(in, info));
  return info;
}

}  // namespace

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  TG_ASSIGN(MappedFile mapped, MappedFile::open(path));
  GgufFile file(std::move(mapped), path.filename().string());
  if (Status status = file.read(); !status) {
    Error error = std::move(status).error();
    error.message = fmt::format("{}: {}", path.string(), error.message);
    return fail(std::move(error));
  }
  return file;
}

Result<GgufFile> GgufFile::over(std::span<const std::byte> bytes, std::string name) {
  GgufFile file(MappedFile::over(bytes), std::move(name));
  TG_TRY(file.read());
  return file;
}

Status GgufFile::read() {
  GgufScanner in(file_.bytes());
  TG_ASSIGN(const auto magic, in.read<std::uint32_t>());
  if (magic != 0x46554747) return in.error("the file does not begin with GGUF");
  TG_ASSIGN(const auto version, in.read<std::uint32_t>());
  if (version != kVersion) {
    return in.error(fmt::format("version {}; only {} in little-endian order is supported", version, kVersion));
  }
  TG_ASSIGN(const auto tensor_count, in.read<std::uint64_t>());
  TG_ASSIGN(const auto value_count, in.read<std::uint64_t>());
  if (tensor_count > kTensorsMax || value_count > kValuesMax) {
    return in.error(fmt::format("{} tensors and {} values; at most {} and {} are allowed", tensor_count, value_count,
                                kTensorsMax, kValuesMax));
  }

  for (std::uint64_t i = 0; i < value_count; ++i) {
    TG_ASSIGN(const std::string_view key, in.read_text(kKeyBytesMax));
    // Keys and names go into messages and reports, which are JSON; texts need not be UTF-8.
    if (!is_valid_utf8(key)) return in.error("a key that is not UTF-8");
    auto value = read_value(in);
    if (!value) {
      Error error = std::move(value).error();
      error.message = fmt::format("key '{}': {}", key, error.message);
      error.field = key;
      return fail(std::move(error));
    }
    if (key.empty() || !values_.emplace(key, *std::move(value)).second) {
      return in.error(fmt::format("key '{}' is empty or appears twice", key), std::string(key));
    }
  }

  std::vector<TensorInfo> infos;
  for (std::uint64_t i = 0; i < tensor_count; ++i) {
    TG_ASSIGN(TensorInfo info, read_info(in));
    infos.push_back(std::move(info));
  }

  TG_ASSIGN(const auto given, find_integer("general.alignment"));
  const auto alignment = static_cast<std::uint64_t>(given.value_or(kAlignmentDefault));
  if (alignment < 8 || alignment > kAlignmentMax || alignment % 8 != 0) {
    return in.error(fmt::format("general.alignment is {}; multiples of 8 up to {} are supported", alignment,
                                kAlignmentMax),
                    "general.alignment");
  }
  const std::uint64_t start = (in.at() + alignment - 1) / alignment * alignment;
  const std::uint64_t size = start < file_.bytes().size() ? file_.bytes().size() - start : 0;

  std::ranges::sort(infos, {}, [](const TensorInfo& info) { return std::pair(info.offset, info.bytes); });
  std::uint64_t covered = 0;
  for (TensorInfo& info : infos) {
    if (info.offset % alignment != 0) {
      return in.error(fmt::format("tensor '{}' at {} is not aligned to {}", info.name, info.offset, alignment), info.name);
    }
    if (info.offset < covered) {
      return in.error(fmt::format("tensor '{}' at {} overlaps one that ends at {}", info.name, info.offset, covered),
                      info.name);
    }
    if (info.offset > size || info.bytes > size - info.offset) {
      return in.error(fmt::format("tensor '{}' of {} bytes at {} ends beyond the {} bytes of data", info.name, info.bytes,
                                  info.offset, size),
                      info.name);
    }
    covered = info.offset + info.bytes;
    TensorView view{info.dtype, std::move(info.shape),
                    file_.bytes().subspan(static_cast<std::size_t>(start + info.offset),
                                          static_cast<std::size_t>(info.bytes))};
    if (!tensors_.emplace(info.name, std::move(view)).second) {
      return in.error(fmt::format("tensor '{}' appears twice", info.name), info.name);
    }
  }
  return {};
}

template <typename T>
Result<const T*> GgufFile::find_as(std::string_view key, std::string_view kind) const {
  const auto it = values_.find(key);
  if (it == values_.end()) return static_cast<const T*>(nullptr);
  const T* value = std::get_if<T>(&it->second);
  if (value == nullptr) {
    return fail(Code::kInvalidArgument, "bad_gguf", fmt::format("{}: '{}' is not {}", name_, key, kind), std::string(key));
  }
  return value;
}

Result<std::optional<std::int64_t>> GgufFile::find_integer(std::string_view key) const {
  TG_ASSIGN(const auto* value, find_as<std::int64_t>(key, "a whole number"));
  return value == nullptr ? std::optional<std::int64_t>() : std::optional(*value);
}

Result<std::optional<double>> GgufFile::find_number(std::string_view key) const {
  const auto it = values_.find(key);
  if (it != values_.end() && std::holds_alternative<std::int64_t>(it->second)) {
    return std::optional(static_cast<double>(std::get<std::int64_t>(it->second)));
  }
  TG_ASSIGN(const auto* value, find_as<double>(key, "a number"));
  return value == nullptr ? std::optional<double>() : std::optional(*value);
}

Result<std::optional<bool>> GgufFile::find_flag(std::string_view key) const {
  TG_ASSIGN(const auto* value, find_as<bool>(key, "a bool"));
  return value == nullptr ? std::optional<bool>() : std::optional(*value);
}

Result<std::optional<std::string_view>> GgufFile::find_text(std::string_view key) const {
  TG_ASSIGN(const auto* value, find_as<std::string_view>(key, "a text"));
  if (value != nullptr && !is_valid_utf8(*value)) {
    return fail(Code::kInvalidArgument, "bad_gguf", fmt::format("{}: '{}' is not UTF-8", name_, key), std::string(key));
  }
  return value == nullptr ? std::optional<std::string_view>() : std::optional(*value);
}

Result<const std::vector<std::string_view>*> GgufFile::find_texts(std::string_view key) const {
  return find_as<std::vector<std::string_view>>(key, "a list of texts");
}

Result<const std::vector<std::int64_t>*> GgufFile::find_integers(std::string_view key) const {
  return find_as<std::vector<std::int64_t>>(key, "a list of whole numbers");
}

std::optional<std::uint32_t> gguf_type_of(Dtype dtype) {
  for (const TensorType& type : kTensorTypes) {
    if (type.dtype == dtype) return type.number;
  }
  return std::nullopt;
}

namespace {

/// "NAME-00001-of-00003.gguf" is part 1 of 3 of "NAME".
struct PartName {
  std::string model;
  int parts = 1;
};

PartName part_name(const std::string& file) {
  const std::string stem = file.substr(0, file.size() - std::string_view(".gguf").size());
  constexpr std::size_t kSuffix = std::string_view("-00001-of-00003").size();
  if (stem.size() <= kSuffix) return {stem, 1};
  const std::string_view suffix = std::string_view(stem).substr(stem.size() - kSuffix);
  int parts = 0;
  for (std::size_t i = 0; i < kSuffix; ++i) {
    const bool is_digit = suffix[i] >= '0' && suffix[i] <= '9';
    const bool wants_digit = (i >= 1 && i <= 5) || i >= 10;
    if (wants_digit != is_digit || (!wants_digit && suffix[i] != "-00001-of-00003"[i])) return {stem, 1};
    if (i >= 10) parts = parts * 10 + (suffix[i] - '0');
  }
  return {stem.substr(0, stem.size() - kSuffix), parts};
}

}  // namespace

Result<std::vector<std::filesystem::path>> gguf_files_of(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> out;
  std::error_code error;
  const bool is_folder = std::filesystem::is_directory(path, error);
  if (!is_folder && path.extension() != ".gguf") return out;
  const auto folder = is_folder ? path : path.parent_path().empty() ? std::filesystem::path(".") : path.parent_path();
  const std::string wanted = is_folder ? std::string() : part_name(path.filename().string()).model;
  std::map<std::string, std::vector<std::filesystem::path>> models;
  std::filesystem::directory_iterator it(folder, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    if (it->path().extension() != ".gguf") continue;
    const PartName part = part_name(it->path().filename().string());
    if (is_folder || part.model == wanted) models[part.model].push_back(it->path());
  }
  if (models.empty()) {
    if (is_folder) return out;
    return fail(Code::kNotFound, "no_weights", fmt::format("{} does not exist", path.string()));
  }
  if (models.size() > 1) {
    return fail(Code::kInvalidArgument, "bad_gguf",
                fmt::format("{} holds {} GGUF models; name one of the files", folder.string(), models.size()));
  }
  out = std::move(models.begin()->second);
  std::ranges::sort(out);
  const int parts = part_name(out.front().filename().string()).parts;
  if (std::ssize(out) != parts) {
    return fail(Code::kNotFound, "no_weights",
                fmt::format("{}: {} of {} parts are there", out.front().string(), out.size(), parts));
  }
  return out;
}

}  // namespace tidegate::worker
