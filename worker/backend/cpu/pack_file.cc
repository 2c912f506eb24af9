#include "worker/backend/cpu/pack_file.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/core/encoding.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kHeadMagic = "TGPACK01";
constexpr std::string_view kTailMagic = "TGPACKED";
constexpr std::size_t kEndBytes = 64;

struct Tail {
  char magic[8] = {};
  std::uint32_t version = PackFile::kVersion;
  std::uint32_t index_crc = 0;
  std::uint64_t index_offset = 0;
  std::uint64_t index_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::uint8_t rest[24] = {};
};
static_assert(sizeof(Tail) == kEndBytes && std::is_trivially_copyable_v<Tail>);

std::unexpected<Error> bad(std::string_view what) {
  return fail(Code::kDataLoss, "bad_pack", std::string(what));
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <typename T>
void put(std::string& out, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

/// A cursor over the index. After the end everything is zero and is_whole() false.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}
  template <typename T>
  T take() {
    T value{};
    if (text_.size() < sizeof value) {
      is_whole_ = false;
      text_ = {};
      return value;
    }
    std::memcpy(&value, text_.data(), sizeof value);
    text_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view take_text(std::uint64_t bytes_max) {
    const auto bytes = take<std::uint64_t>();
    if (bytes > bytes_max || bytes > text_.size()) {
      is_whole_ = false;
      text_ = {};
      return {};
    }
    const std::string_view out = text_.substr(0, bytes);
    text_.remove_prefix(bytes);
    return out;
  }
  [[nodiscard]] bool is_whole() const { return is_whole_; }
  [[nodiscard]] bool at_end() const { return text_.empty(); }

 private:
  std::string_view text_;
  bool is_whole_ = true;
};

void put_part(std::string& out, const std::string& name, const PackPart& part) {
  put_text(out, name);
  put(out, static_cast<std::uint8_t>(part.is_table ? 1 : 0));
  put(out, static_cast<std::uint8_t>(part.format));
  put(out, static_cast<std::uint8_t>(part.dtype));
  put(out, part.outputs);
  put(out, part.inputs);
  put(out, part.offset);
  put(out, part.bytes);
  put(out, part.crc);
  put(out, part.scales_offset);
  put(out, part.scales_bytes);
  put(out, part.scales_crc);
}

/// nullopt: kinds that do not exist.
std::optional<PackPart> take_part(Cursor& in) {
  const auto is_table = in.take<std::uint8_t>();
  const auto format = in.take<std::uint8_t>();
  const auto dtype = in.take<std::uint8_t>();
  PackPart part;
  part.outputs = in.take<std::int64_t>();
  part.inputs = in.take<std::int64_t>();
  part.offset = in.take<std::uint64_t>();
  part.bytes = in.take<std::uint64_t>();
  part.crc = in.take<std::uint32_t>();
  part.scales_offset = in.take<std::uint64_t>();
  part.scales_bytes = in.take<std::uint64_t>();
  part.scales_crc = in.take<std::uint32_t>();
  if (is_table > 1 || format >= kWeightFormats || dtype > static_cast<std::uint8_t>(Dtype::kQ6K)) return std::nullopt;
  part.is_table = is_table == 1;
  part.format = static_cast<WeightFormat>(format);
  part.dtype = static_cast<Dtype>(dtype);
  return part;
}

/// The bytes that a part of this shape has; nullopt: no such shape. Sizes are those of models, far from overflow.
std::optional<std::pair<std::uint64_t, std::uint64_t>> sizes_of(const PackPart& part) {
  constexpr std::int64_t kSideMax = std::int64_t{1} << 28;
  if (part.outputs <= 0 || part.inputs <= 0 || part.outputs > kSideMax || part.inputs > kSideMax) return std::nullopt;
  if (part.is_table) {
    const DtypeBlock block = dtype_block(part.dtype);
    if (part.inputs % block.elements != 0) return std::nullopt;
    return std::pair(static_cast<std::uint64_t>(part.outputs * (part.inputs / block.elements * block.bytes)), std::uint64_t{0});
  }
  const std::int64_t scales = PackedMatrix::packed_scales(part.outputs, part.inputs, part.format);
  return std::pair(static_cast<std::uint64_t>(PackedMatrix::packed_bytes(part.outputs, part.inputs, part.format)),
                   static_cast<std::uint64_t>(scales) * sizeof(float));
}

bool lies_within(std::uint64_t offset, std::uint64_t bytes, std::uint64_t end) {
  return offset % PackFile::kAlignment == 0 && offset >= kEndBytes && offset <= end && bytes <= end - offset;
}

/// A matrix without scales has them nowhere: an offset beside no bytes would still be a place beyond the file.
bool scales_lie_within(const PackPart& part, std::uint64_t end) {
  if (part.scales_bytes == 0) return part.scales_offset == 0;
  return lies_within(part.scales_offset, part.scales_bytes, end);
}

/// Another user could change what this process computes with.
Status check_owner(const std::filesystem::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno != ENOENT) {
      return fail(Code::kInternal, "file_error", fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)));
    }
    return fail(Code::kNotFound, "no_such_file", fmt::format("{} does not exist", path.string()));
  }
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 022) != 0) {
    return fail(Code::kFailedPrecondition, "foreign_pack",
                fmt::format("{} is no file that this user alone may write", path.string()));
  }
  return {};
}

/// Whoever says that it is ready has its weights in memory. Advice: whether it is taken changes no result.
void read_ahead(std::span<const std::byte> bytes) {
  auto* data = const_cast<std::byte*>(bytes.data());
  if (::madvise(data, bytes.size(), MADV_POPULATE_READ) == 0) return;
  ::madvise(data, bytes.size(), MADV_WILLNEED);  // a kernel before 5.14; or it was interrupted
}

}  // namespace

Result<PackFile> PackFile::open(const std::filesystem::path& path, std::string_view key, PackCheck check) {
  TG_TRY(check_owner(path));
  TG_ASSIGN(MappedFile mapped, MappedFile::open(path));
  PackFile file(std::move(mapped));
  if (Status status = file.read(key, check); !status) {
    Error error = std::move(status).error();
    error.message = fmt::format("{}: {}", path.string(), error.message);
    return fail(std::move(error));
  }
  read_ahead(file.file_.bytes());
  return file;
}

Result<PackFile> PackFile::over(std::span<const std::byte> bytes, std::string_view key, PackCheck check) {
  PackFile file(MappedFile::over(bytes));
  TG_TRY(file.read(key, check));
  return file;
}

Status PackFile::read(std::string_view key, PackCheck check) {
  const auto all = file_.bytes();
  if (all.size() < 2 * kEndBytes) return bad("too short");
  if (!as_text(all).starts_with(kHeadMagic)) return bad("does not begin as a pack file");
  Tail tail;
  std::memcpy(&tail, all.data() + all.size() - kEndBytes, kEndBytes);
  if (std::string_view(tail.magic, sizeof tail.magic) != kTailMagic) return bad("has no tail: it was cut off");
  if (tail.version != kVersion) return bad(fmt::format("is of version {}, not {}", tail.version, kVersion));
  const std::uint64_t end = all.size() - kEndBytes;
  if (tail.file_bytes != all.size() || tail.index_offset < kEndBytes || tail.index_offset > end ||
      tail.index_bytes != end - tail.index_offset) {
    return bad("has another size than its tail says");
  }
  const std::string_view index = as_text(all.subspan(tail.index_offset, tail.index_bytes));
  if (crc32c(index) != tail.index_crc) return bad("has an index with a wrong checksum");
  Cursor in(index);
  if (in.take_text(index.size()) != key) return bad("was packed for another model, instruction set or version");
  const auto count = in.take<std::uint64_t>();
  if (count > kPartsMax) return bad(fmt::format("has {} parts; at most {} are allowed", count, kPartsMax));
  for (std::uint64_t i = 0; i < count && in.is_whole(); ++i) {
    const std::string name(in.take_text(kNameBytesMax));
    const auto part = take_part(in);
    if (!in.is_whole()) break;
    if (!is_valid_utf8(name)) return bad(fmt::format("part {} has a name that is not UTF-8", i));
    if (!part) return bad(fmt::format("part '{}' is of no known kind", name));
    const auto sizes = sizes_of(*part);
    if (!sizes || part->bytes != sizes->first || part->scales_bytes != sizes->second ||
        !lies_within(part->offset, part->bytes, tail.index_offset) ||
        !scales_lie_within(*part, tail.index_offset)) {
      return bad(fmt::format("part '{}' has another size than its shape, or lies outside of the file", name));
    }
    if (check == PackCheck::kWhole &&
        (crc32c(as_text(all.subspan(part->offset, part->bytes))) != part->crc ||
         crc32c(as_text(all.subspan(part->scales_offset, part->scales_bytes))) != part->scales_crc)) {
      return bad(fmt::format("part '{}' has a wrong checksum", name));
    }
    if (!parts_.emplace(name, *part).second) return bad(fmt::format("part '{}' is there twice", name));
  }
  if (!in.is_whole() || !in.at_end()) return bad("has an index that ends within a part");
  return {};
}

const PackPart* PackFile::find(std::string_view name) const {
  const auto found = parts_.find(name);
  return found == parts_.end() ? nullptr : &found->second;
}

std::span<const std::byte> PackFile::bytes_of(const PackPart& part) const {
  return file_.bytes().subspan(part.offset, part.bytes);
}

std::span<const float> PackFile::scales_of(const PackPart& part) const {
  // A mapping begins at a page and scales at a multiple of 64 in it.
  const auto bytes = file_.bytes().subspan(part.scales_offset, part.scales_bytes);
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
}

Result<PackWriter> PackWriter::create(const std::filesystem::path& path) {
  TG_ASSIGN(OutputFile out, OutputFile::create(path, OutputDigest::kNone));
  TG_TRY(out.write(kHeadMagic));
  TG_TRY(out.write_zeros(kEndBytes - kHeadMagic.size()));
  return PackWriter(std::move(out));
}

Status PackWriter::write_part(std::span<const std::byte> bytes, std::uint64_t& offset, std::uint32_t& crc) {
  const std::uint64_t past = out_.written() % PackFile::kAlignment;
  if (past > 0) TG_TRY(out_.write_zeros(static_cast<std::size_t>(PackFile::kAlignment - past)));
  offset = out_.written();
  crc = crc32c(as_text(bytes));
  return out_.write(bytes);
}

void PackWriter::add(const std::string& name, PackPart part, std::span<const std::byte> bytes, std::span<const float> scales) {
  part.bytes = bytes.size();
  part.scales_bytes = scales.size_bytes();
  status_ = write_part(bytes, part.offset, part.crc);
  if (status_ && !scales.empty()) status_ = write_part(std::as_bytes(scales), part.scales_offset, part.scales_crc);
  if (status_ && !parts_.emplace(name, part).second) {
    status_ = fail(Code::kInternal, "bad_pack", fmt::format("part '{}' is packed twice", name));
  }
}

PackedMatrix PackWriter::matrix(const std::string& name, const std::function<PackedMatrix()>& pack) {
  if (!status_) return {};
  const PackedMatrix packed = pack();
  PackPart part;
  part.format = packed.format();
  part.outputs = packed.outputs();
  part.inputs = packed.inputs();
  add(name, part, packed.bytes(), packed.scales());
  return {};
}

EmbeddingTable PackWriter::table(const std::string& name, const TensorView& tensor) {
  if (!status_) return {};
  PackPart part;
  part.is_table = true;
  part.dtype = tensor.dtype;
  part.outputs = tensor.shape[0];
  part.inputs = tensor.shape[1];
  add(name, part, tensor.bytes, {});
  return {};
}

Status PackWriter::finish(std::string_view key) {
  TG_TRY(status_);
  std::string index;
  put_text(index, key);
  put(index, static_cast<std::uint64_t>(parts_.size()));
  for (const auto& [name, part] : parts_) put_part(index, name, part);
  Tail tail;
  std::memcpy(tail.magic, kTailMagic.data(), sizeof tail.magic);
  tail.index_crc = crc32c(index);
  tail.index_offset = out_.written();
  tail.index_bytes = index.size();
  tail.file_bytes = out_.written() + index.size() + kEndBytes;
  TG_TRY(out_.write(std::string_view(index)));
  TG_TRY(out_.write(std::as_bytes(std::span(&tail, 1))));
  TG_TRY(out_.finish());
  return {};
}

PackedMatrix PackReader::matrix(const std::string& name, const std::function<PackedMatrix()>& pack) {
  const PackPart* part = file_.find(name);
  if (part == nullptr || part->is_table) {
    ++missing_;
    return pack();
  }
  return PackedMatrix::over(part->outputs, part->inputs, part->format, file_.bytes_of(*part), file_.scales_of(*part));
}

EmbeddingTable PackReader::table(const std::string& name, const TensorView& tensor) {
  const PackPart* part = file_.find(name);
  if (part == nullptr || !part->is_table || part->dtype != tensor.dtype || part->outputs != tensor.shape[0] ||
      part->inputs != tensor.shape[1]) {
    ++missing_;
    return EmbeddingTable(tensor);
  }
  return EmbeddingTable::over(part->dtype, part->inputs, file_.bytes_of(*part));
}

}  // namespace tidegate::worker
