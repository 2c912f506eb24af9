#include "worker/format/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "base/core/encoding.h"
#include "worker/format/quant_blocks.h"
#include "worker/format/safetensors_header.h"

namespace tidegate::worker {
namespace {

constexpr std::size_t kLengthBytes = 8;
/// A dtype of a broken file may be as long as its header.
constexpr std::size_t kQuotedBytesMax = 32;

std::unexpected<Error> bad(std::string message, std::string tensor = {}) {
  return fail(Code::kInvalidArgument, "bad_safetensors", std::move(message), std::move(tensor));
}

/// Bytes of a tensor, or an error when the product leaves int64.
Result<std::int64_t> checked_bytes(const SafetensorsEntry& entry, Dtype dtype) {
  std::int64_t bytes = dtype_bytes(dtype);
  for (const std::int64_t size : entry.shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) {
      return bad(fmt::format("tensor '{}': shape {} overflows", entry.name, shape_text(entry.shape)),
                 entry.name);
    }
  }
  return bytes;
}

template <typename Bits, typename Decode>
std::vector<float> decode_all(const TensorView& tensor, Decode decode) {
  std::vector<float> out(static_cast<std::size_t>(tensor.elements()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    Bits bits;
    std::memcpy(&bits, tensor.bytes.data() + i * sizeof(Bits), sizeof(Bits));
    out[i] = decode(bits);
  }
  return out;
}

}  // namespace

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::vector<float> to_floats(const TensorView& tensor) {
  switch (tensor.dtype) {
    case Dtype::kF32:
      return decode_all<float>(tensor, [](float value) { return value; });
    case Dtype::kBf16:
      return decode_all<std::uint16_t>(tensor, bf16_to_float);
    case Dtype::kF16:
      return decode_all<std::uint16_t>(tensor, f16_to_float);
    case Dtype::kF8E4m3:
      return decode_all<std::uint8_t>(tensor, e4m3_to_float);
    case Dtype::kQ8_0:
    case Dtype::kQ4_0:
    case Dtype::kQ4_1:
    case Dtype::kQ5_0:
    case Dtype::kQ5_1:
    case Dtype::kQ4K:
    case Dtype::kQ5K:
    case Dtype::kQ6K:
      break;
  }
  std::vector<float> out(static_cast<std::size_t>(tensor.elements()));
  dequantise_blocks(tensor.dtype, tensor.bytes, out.data());
  return out;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  TG_ASSIGN(MappedFile mapped, MappedFile::open(path));
  SafetensorsFile file(std::move(mapped));
  if (Status status = file.read(); !status) {
    Error error = std::move(status).error();
    error.message = fmt::format("{}: {}", path.string(), error.message);
    return fail(std::move(error));
  }
  return file;
}

Result<SafetensorsFile> SafetensorsFile::over(std::span<const std::byte> bytes) {
  SafetensorsFile file(MappedFile::over(bytes));
  TG_TRY(file.read());
  return file;
}

Status SafetensorsFile::read() {
  const auto all = file_.bytes();
  if (all.size() < kLengthBytes) return bad(fmt::format("{} bytes are too few for a header", all.size()));
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, all.data(), kLengthBytes);
  if (header_bytes > kHeaderBytesMax) {
    return bad(fmt::format("header of {} bytes; at most {} are allowed", header_bytes, kHeaderBytesMax));
  }
  if (header_bytes > all.size() - kLengthBytes) {
    return bad(fmt::format("header of {} bytes in a file of {}", header_bytes, all.size()));
  }
  const std::string_view text(reinterpret_cast<const char*>(all.data()) + kLengthBytes, header_bytes);
  const auto data = all.subspan(kLengthBytes + header_bytes);

  TG_ASSIGN(std::vector<SafetensorsEntry> entries, parse_safetensors_header(text));
  std::ranges::sort(entries, {}, [](const SafetensorsEntry& e) { return std::pair(e.begin, e.end); });
  std::int64_t covered = 0;
  for (SafetensorsEntry& entry : entries) {
    const auto dtype = parse_dtype(entry.dtype);
    if (!dtype) {
      return bad(
          fmt::format("tensor '{}': dtype {} is not one of F32, BF16, F16, F8_E4M3", entry.name,
                      utf8_prefix(entry.dtype, kQuotedBytesMax)),
          entry.name);
    }
    TG_ASSIGN(const std::int64_t bytes, checked_bytes(entry, *dtype));
    if (entry.end < entry.begin || entry.end - entry.begin != bytes) {
      return bad(fmt::format("tensor '{}': offsets [{}, {}) do not hold {} of {} ({} bytes)", entry.name,
                             entry.begin, entry.end, shape_text(entry.shape), entry.dtype, bytes),
                 entry.name);
    }
    if (entry.begin != covered) {
      return bad(
          fmt::format("tensor '{}' starts at {}, but {} bytes are covered so far: {}", entry.name,
                      entry.begin, covered, entry.begin < covered ? "ranges overlap" : "ranges leave a hole"),
          entry.name);
    }
    covered = entry.end;
    if (static_cast<std::uint64_t>(covered) > data.size()) {
      return bad(fmt::format("tensor '{}' ends at {}, beyond the {} bytes of data", entry.name, covered,
                             data.size()),
                 entry.name);
    }
    tensors_.emplace(std::move(entry.name), TensorView{*dtype, std::move(entry.shape),
                                                       data.subspan(static_cast<std::size_t>(entry.begin),
                                                                    static_cast<std::size_t>(bytes))});
  }
  if (static_cast<std::uint64_t>(covered) != data.size()) {
    return bad(fmt::format("{} bytes of data, of which the tensors cover {}", data.size(), covered));
  }
  return {};
}

}  // namespace tidegate::worker
