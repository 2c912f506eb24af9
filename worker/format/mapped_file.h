#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/core/result.h"

namespace tidegate::worker {

/// What tells one file from another, and from itself after a change, without reading it.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;  ///< content
  std::int64_t changed_ns = 0;   ///< content or attributes: no user can set it back
};

/// A whole file mapped read-only. Move-only; views die with it. The file must not shrink while mapped (the
/// kernel answers a read past the end with SIGBUS): checkpoints are replaced by rename, never rewritten.
class MappedFile {
 public:
  /// Fails: not_found/no_such_file, internal/file_error.
  static Result<MappedFile> open(const std::filesystem::path& path);
  /// Bytes that are in memory already and outlive this, as if they were a file: what readers of files are tested with. It has
  /// no identity.
  static MappedFile over(std::span<const std::byte> bytes);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// As it was when it was mapped.
  [[nodiscard]] const FileIdentity& identity() const { return identity_; }

 private:
  MappedFile(const std::byte* data, std::size_t size, const FileIdentity& identity)
      : data_(data), size_(size), identity_(identity) {}
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  FileIdentity identity_;
  bool is_mapped_ = true;  ///< false: somebody else's memory
};

}  // namespace tidegate::worker
