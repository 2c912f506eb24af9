#pragma once

#include "gateway/journal/disk.h"

namespace tidegate::gateway {

/// The real one. Files are private to their owner (0600, folders 0700).
class PosixDisk final : public Disk {
 public:
  Result<std::unique_ptr<AppendFile>> create(const std::string& path) override;
  Result<std::string> read(const std::string& path, std::uint64_t offset, std::uint64_t size_max) override;
  Result<std::vector<std::string>> list(const std::string& folder) override;
  Status make_folder(const std::string& folder) override;
  Status remove_file(const std::string& path) override;
  Status remove_folder(const std::string& folder) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status truncate(const std::string& path, std::uint64_t size) override;
  Status sync_folder(const std::string& folder) override;
  Result<std::unique_ptr<FolderLock>> lock(const std::string& folder) override;
};

}  // namespace tidegate::gateway
