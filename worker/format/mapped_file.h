#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "base/core/result.h"

namespace tidegate::worker {

/// A whole file mapped read-only. Move-only; views die with it. The file must not shrink while mapped (the
/// kernel answers a read past the end with SIGBUS): checkpoints are replaced by rename, never rewritten.
class MappedFile {
 public:
  /// Fails: not_found/no_such_file, internal/file_error.
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, std::size_t size) : data_(data), size_(size) {}
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace tidegate::worker
