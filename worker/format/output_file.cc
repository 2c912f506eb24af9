#include "worker/format/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/core/check.h"
#include "base/core/encoding.h"

namespace tidegate::worker {
namespace {

std::unexpected<Error> file_error(std::string_view what, const std::filesystem::path& path, int error) {
  const std::string message = fmt::format("cannot {} {}: {}", what, path.string(), std::strerror(error));
  if (error == ENOSPC || error == EDQUOT) return fail(Code::kResourceExhausted, "disk_full", message);
  if (error == EEXIST) return fail(Code::kAlreadyExists, "file_exists", message);
  return fail(Code::kInternal, "file_error", message);
}

}  // namespace

OutputFile::OutputFile(int fd, std::filesystem::path path, OutputDigest digest)
    : fd_(fd),
      path_(std::move(path)),
      digest_(digest == OutputDigest::kSha256 ? std::make_unique<Sha256Stream>() : nullptr) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      written_(other.written_),
      digest_(std::move(other.digest_)) {}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<OutputFile> OutputFile::create(const std::filesystem::path& path, OutputDigest digest) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return file_error("create", path, errno);
  return OutputFile(fd, path, digest);
}

Status OutputFile::write(std::span<const std::byte> bytes) {
  TG_CHECK(fd_ >= 0);
  constexpr std::size_t kPieceMax = std::size_t{1} << 26;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kPieceMax));
    const ssize_t count = ::write(fd_, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return file_error("write", path_, count == 0 ? ENOSPC : errno);
    const auto done = static_cast<std::size_t>(count);
    if (digest_) digest_->update({reinterpret_cast<const char*>(piece.data()), done});
    written_ += done;
    bytes = bytes.subspan(done);
  }
  return {};
}

Status OutputFile::write_zeros(std::size_t count) {
  static constexpr std::array<std::byte, 4096> kZeros{};
  while (count > 0) {
    const std::size_t piece = std::min(count, kZeros.size());
    TG_TRY(write(std::span(kZeros).first(piece)));
    count -= piece;
  }
  return {};
}

Result<std::string> OutputFile::finish() {
  TG_CHECK(fd_ >= 0);
  const int synced = ::fsync(fd_) == 0 ? 0 : errno;
  const int fd = std::exchange(fd_, -1);
  // It lies in the page cache as it was written, in small pages: whoever maps it is to read it in large ones.
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  const int closed = ::close(fd) == 0 ? 0 : errno;
  if (synced != 0 || closed != 0) return file_error("finish", path_, synced != 0 ? synced : closed);
  if (!digest_) return std::string();
  const Digest digest = digest_->finish();
  return hex_encode(as_view(digest));
}

Status sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return file_error("open", folder, errno);
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (error != 0) return file_error("sync", folder, error);
  return {};
}

}  // namespace tidegate::worker
