#include "worker/convert/new_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "worker/format/output_file.h"

namespace tidegate::worker {
namespace {

bool is_taken(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(std::filesystem::symlink_status(path, error));
}

std::unexpected<Error> target_exists(const std::filesystem::path& target) {
  return fail(Code::kAlreadyExists, "target_exists", fmt::format("{} exists; name a folder that does not", target.string()),
              "target");
}

/// Zero, or the error. A plain rename() takes an empty folder's place without a word.
int rename_to_new(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  // Not of this filesystem (NFS, some FUSE): looked at first, which leaves a moment between.
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return errno;
  if (is_taken(to)) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

Result<NewFolder> NewFolder::create(const std::filesystem::path& target) {
  const std::filesystem::path named = target.has_filename() ? target : target.parent_path();
  if (is_taken(named)) return target_exists(named);
  const std::filesystem::path parent = named.parent_path().empty() ? std::filesystem::path(".") : named.parent_path();
  std::string pattern = (parent / fmt::format(".{}.XXXXXX", named.filename().string())).string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    return fail(Code::kInternal, "file_error",
                fmt::format("cannot create a folder in {}: {}", parent.string(), std::strerror(errno)), "target");
  }
  return NewFolder(pattern, named, parent);
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Status NewFolder::publish() {
  TG_TRY(sync_folder(path_));
  std::error_code error;
  // mkdtemp made it for this user alone; a model is as readable as its files.
  std::filesystem::permissions(path_, std::filesystem::perms(0755), error);
  if (!error) error = std::error_code(rename_to_new(path_, target_), std::generic_category());
  if (error == std::errc::file_exists || error == std::errc::directory_not_empty) return target_exists(target_);
  if (error) {
    return fail(Code::kInternal, "file_error", fmt::format("cannot name {}: {}", target_.string(), error.message()), "target");
  }
  path_.clear();
  return sync_folder(parent_);
}

}  // namespace tidegate::worker
