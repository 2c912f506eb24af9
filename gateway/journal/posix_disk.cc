#include "gateway/journal/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace tidegate::gateway {
namespace {

std::unexpected<Error> disk_error(std::string_view operation, std::string_view path) {
  const std::error_code code(errno, std::generic_category());
  return fail(Code::kUnavailable, "disk_error", fmt::format("{} {}: {}", operation, path, code.message()));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class PosixAppendFile final : public AppendFile {
 public:
  PosixAppendFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Result<std::size_t> write(std::string_view data) override {
    ssize_t written = 0;
    do {
      written = ::write(fd_.get(), data.data(), data.size());
    } while (written < 0 && errno == EINTR);
    if (written <= 0) return disk_error("write", path_);
    return static_cast<std::size_t>(written);
  }

  Status sync() override {
    if (::fdatasync(fd_.get()) != 0) return disk_error("fdatasync", path_);
    return {};
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixFolderLock final : public FolderLock {
 public:
  explicit PosixFolderLock(int fd) : fd_(fd) {}

 private:
  Descriptor fd_;
};

}  // namespace

Result<std::unique_ptr<AppendFile>> PosixDisk::create(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return disk_error("create", path);
  return std::make_unique<PosixAppendFile>(fd, path);
}

Result<std::string> PosixDisk::read(const std::string& path, std::uint64_t offset, std::uint64_t size_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return disk_error("open", path);
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0) return disk_error("stat", path);
  const auto size = static_cast<std::uint64_t>(facts.st_size);
  std::string data(offset >= size ? 0 : std::min(size_max, size - offset), '\0');
  std::size_t done = 0;
  while (done < data.size()) {
    const ssize_t count =
        ::pread(file.get(), data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return disk_error("read", path);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  data.resize(done);
  return data;
}

Result<std::vector<std::string>> PosixDisk::list(const std::string& folder) {
  std::vector<std::string> names;
  DIR* stream = ::opendir(folder.c_str());
  if (stream == nullptr) {
    if (errno == ENOENT) return names;
    return disk_error("list", folder);
  }
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  std::ranges::sort(names);
  return names;
}

Status PosixDisk::make_folder(const std::string& folder) {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = folder.find('/', end + 1);
    const std::string part = folder.substr(0, end);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) return disk_error("mkdir", part);
  }
  return {};
}

Status PosixDisk::remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return disk_error("remove", path);
  return {};
}

Status PosixDisk::remove_folder(const std::string& folder) {
  if (::rmdir(folder.c_str()) != 0) return disk_error("remove", folder);
  return {};
}

Status PosixDisk::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return disk_error("rename", from);
  return {};
}

Status PosixDisk::truncate(const std::string& path, std::uint64_t size) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) return disk_error("open", path);
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) return disk_error("truncate", path);
  if (::fsync(file.get()) != 0) return disk_error("fsync", path);
  return {};
}

Status PosixDisk::sync_folder(const std::string& folder) {
  const Descriptor file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0) return disk_error("open", folder);
  if (::fsync(file.get()) != 0) return disk_error("fsync", folder);
  return {};
}

Result<std::unique_ptr<FolderLock>> PosixDisk::lock(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return disk_error("open", folder);
  auto held = std::make_unique<PosixFolderLock>(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return disk_error("lock", folder);
    return fail(Code::kFailedPrecondition, "journal_locked",
                fmt::format("another gateway uses the journal in {}; give each gateway its own folder", folder));
  }
  return held;
}

}  // namespace tidegate::gateway
