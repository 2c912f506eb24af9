#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "base/core/result.h"

namespace tidegate::worker {

/// A folder beside the target under a name of its own; gone with this object unless it got the target's name.
class NewFolder {
 public:
  /// Fails: already_exists/target_exists, internal/file_error.
  static Result<NewFolder> create(const std::filesystem::path& target);
  NewFolder(NewFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})), target_(std::move(other.target_)), parent_(std::move(other.parent_)) {}
  NewFolder& operator=(NewFolder&&) = delete;
  ~NewFolder();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Gives it the target's name, on the disk too. Takes nobody's place, also that of an empty folder that was made meanwhile.
  /// Fails: as create.
  Status publish();

 private:
  NewFolder(std::filesystem::path path, std::filesystem::path target, std::filesystem::path parent)
      : path_(std::move(path)), target_(std::move(target)), parent_(std::move(parent)) {}
  std::filesystem::path path_;
  std::filesystem::path target_;
  std::filesystem::path parent_;
};

}  // namespace tidegate::worker
