#include "worker/format/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace tidegate::worker {
namespace {

/// Smaller files gain nothing from huge pages.
constexpr std::size_t kHugePagesFrom = std::size_t{4} << 20;

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + std::int64_t{time.tv_nsec};
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const Code code = errno == ENOENT ? Code::kNotFound : Code::kInternal;
    return fail(code, errno == ENOENT ? "no_such_file" : "file_error",
                fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)));
  }
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return fail(Code::kInternal, "file_error",
                fmt::format("{} is not a readable regular file", path.string()));
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  const FileIdentity identity{.device = static_cast<std::uint64_t>(info.st_dev),
                              .inode = static_cast<std::uint64_t>(info.st_ino),
                              .bytes = static_cast<std::uint64_t>(info.st_size),
                              .modified_ns = nanoseconds(info.st_mtim),
                              .changed_ns = nanoseconds(info.st_ctim)};
  if (size == 0) {  // mmap refuses length 0; an empty file is for the format to complain about
    ::close(fd);
    return MappedFile(nullptr, 0, identity);
  }
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  ::close(fd);
  if (data == MAP_FAILED) {
    return fail(Code::kInternal, "file_error",
                fmt::format("cannot map {}: {}", path.string(), std::strerror(error)));
  }
  // Before the first byte is read: the kernel then fills its cache in huge pages where the file system can.
  if (size >= kHugePagesFrom) ::madvise(data, size, MADV_HUGEPAGE);
  return MappedFile(static_cast<const std::byte*>(data), size, identity);
}

MappedFile MappedFile::over(std::span<const std::byte> bytes) {
  MappedFile file(bytes.data(), bytes.size(), FileIdentity{.bytes = bytes.size()});
  file.is_mapped_ = false;
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      identity_(other.identity_),
      is_mapped_(other.is_mapped_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(identity_, other.identity_);
  std::swap(is_mapped_, other.is_mapped_);
  return *this;
}

MappedFile::~MappedFile() {
  if (is_mapped_ && data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace tidegate::worker
