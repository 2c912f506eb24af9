#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

/// The file system as the journal needs it: append, sync, read, remove. Fake: tests/support/gateway/memory_disk.h.
/// Every failure is unavailable/disk_error with the system's words. Blocking.
namespace tidegate::gateway {

/// A file being appended to by one thread.
class AppendFile {
 public:
  virtual ~AppendFile() = default;
  /// Bytes taken, at least one and possibly fewer than given: the caller loops.
  virtual Result<std::size_t> write(std::string_view data) = 0;
  /// What was written survives a power cut once this returns (fdatasync).
  virtual Status sync() = 0;
};

/// Held for as long as the object lives.
class FolderLock {
 public:
  virtual ~FolderLock() = default;
};

/// Thread-safe.
class Disk {
 public:
  virtual ~Disk() = default;
  /// The file must not exist.
  virtual Result<std::unique_ptr<AppendFile>> create(const std::string& path) = 0;
  /// At most `size_max` bytes from `offset`; fewer at the end of the file.
  virtual Result<std::string> read(const std::string& path, std::uint64_t offset, std::uint64_t size_max) = 0;
  /// Names inside a folder, sorted, without "." and "..". A missing folder is empty.
  virtual Result<std::vector<std::string>> list(const std::string& folder) = 0;
  /// Parents included; existing folders are fine.
  virtual Status make_folder(const std::string& folder) = 0;
  virtual Status remove_file(const std::string& path) = 0;
  /// Must be empty.
  virtual Status remove_folder(const std::string& folder) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  /// Cuts the file and syncs it.
  virtual Status truncate(const std::string& path, std::uint64_t size) = 0;
  /// Created, renamed and removed names survive a power cut once this returns.
  virtual Status sync_folder(const std::string& folder) = 0;
  /// Fails: failed_precondition/journal_locked when another process holds it.
  virtual Result<std::unique_ptr<FolderLock>> lock(const std::string& folder) = 0;
};

}  // namespace tidegate::gateway
