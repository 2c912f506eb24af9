#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "worker/format/dtype.h"
#include "worker/format/mapped_file.h"

namespace tidegate::worker {

/// A tensor inside a mapped file: row-major, outermost dimension first, possibly unaligned.
struct TensorView {
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;

  [[nodiscard]] std::int64_t elements() const {
    const DtypeBlock block = dtype_block(dtype);
    return static_cast<std::int64_t>(bytes.size()) / block.bytes * block.elements;
  }
};

/// "[256, 96]", for messages.
std::string shape_text(std::span<const std::int64_t> shape);

/// Every element as float, in order, whatever the dtype (bare e4m3 included: scales are the caller's
/// business).
std::vector<float> to_floats(const TensorView& tensor);

/// One .safetensors file, checked as a whole when opened: header of at most 100 MB, known dtypes, sizes equal
/// to shape x dtype without overflow, ranges that tile the data section with no hole and no overlap. Source
/// of the layout: the safetensors format description (u64 LE header length, JSON, data).
class SafetensorsFile {
 public:
  static constexpr std::uint64_t kHeaderBytesMax = 100'000'000;

  /// Fails: not_found, invalid_argument/bad_safetensors (message names file, tensor and what is wrong).
  static Result<SafetensorsFile> open(const std::filesystem::path& path);
  /// The same over bytes in memory, which outlive it. Nothing of the data is copied; what is kept of the header stays below
  /// kMemoryPerHeaderByte times its bytes.
  static Result<SafetensorsFile> over(std::span<const std::byte> bytes);
  static constexpr std::uint64_t kMemoryPerHeaderByte = 32;

  /// Views are valid while this object lives (moving it keeps them valid).
  [[nodiscard]] const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return file_.bytes(); }
  [[nodiscard]] const FileIdentity& identity() const { return file_.identity(); }

 private:
  explicit SafetensorsFile(MappedFile file) : file_(std::move(file)) {}
  Status read();
  MappedFile file_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

}  // namespace tidegate::worker
