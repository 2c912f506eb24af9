#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "base/crypto/sha256.h"

namespace tidegate::worker {

/// Whether finish() says the SHA-256 of the file.
enum class OutputDigest : std::uint8_t { kSha256, kNone };

/// A new file that is written from its beginning to its end, with the SHA-256 of what was written. Nobody may take it for
/// complete before finish(): write under a name that nobody looks for, and rename.
class OutputFile {
 public:
  /// Fails: already_exists/file_exists, internal/file_error.
  static Result<OutputFile> create(const std::filesystem::path& path, OutputDigest digest = OutputDigest::kSha256);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  /// Fails: resource_exhausted/disk_full, internal/file_error.
  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  Status write_zeros(std::size_t count);
  [[nodiscard]] std::uint64_t written() const { return written_; }

  /// On the disk and closed; returns the digest in hexadecimal, or "". Once.
  Result<std::string> finish();

 private:
  OutputFile(int fd, std::filesystem::path path, OutputDigest digest);
  int fd_;
  std::filesystem::path path_;
  std::uint64_t written_ = 0;
  std::unique_ptr<Sha256Stream> digest_;  ///< nullptr: nobody asked for it
};

/// Makes names in a folder as durable as the files behind them. Fails: internal/file_error.
Status sync_folder(const std::filesystem::path& folder);

}  // namespace tidegate::worker
