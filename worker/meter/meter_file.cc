#include "worker/meter/meter_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>

namespace tidegate::worker {

namespace {
constexpr const char* kSuffix = ".meter";
}  // namespace

MeterFile::MeterFile(int fd, std::filesystem::path path, const Clock& clock, Log& log, Counter& failures)
    : fd_(fd), path_(std::move(path)), clock_(clock), log_(log), failures_(failures) {}

MeterFile::~MeterFile() { ::close(fd_); }

Result<std::unique_ptr<MeterFile>> MeterFile::create(const std::filesystem::path& folder, const std::string& worker_id,
                                                     const Clock& clock, Log& log, Counter& failures) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  std::filesystem::path path = folder / (worker_id + kSuffix);
  const int fd = code ? -1 : ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) {
    if (!code) code = std::error_code(errno, std::generic_category());
    return fail(Code::kInternal, "meter_unwritable", fmt::format("{}: {}", path.string(), code.message()), "meter.dir");
  }
  return std::unique_ptr<MeterFile>(new MeterFile(fd, std::move(path), clock, log, failures));
}

void MeterFile::record(const MeterEntry& entry) {
  const std::lock_guard lock(mutex_);
  if (broken_at_) return;
  const Wall now = clock_.wall();
  const std::string bytes = encode_record({entry, now});
  ssize_t written = 0;
  do {
    written = ::write(fd_, bytes.data(), bytes.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(bytes.size())) return;
  broken_at_ = now;
  failures_.add();
  const std::error_code code(written < 0 ? errno : ENOSPC, std::generic_category());
  log_.error("meter_failed", {kv("file", path_.string()), kv("error", code.message())});
}

Wall MeterFile::covered_until() const {
  const std::lock_guard lock(mutex_);
  return broken_at_.value_or(clock_.wall());
}

std::vector<MeterLife> meter_lives(const std::filesystem::path& folder) {
  std::vector<MeterLife> lives;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) {
    const auto& path = entry.path();
    if (path.extension() == kSuffix && Uuid::parse(path.stem().string())) lives.push_back({path.stem().string(), path});
  }
  std::ranges::sort(lives, {}, &MeterLife::worker_id);
  return lives;
}

std::vector<MeterRecord> read_records(const std::filesystem::path& file, std::uint64_t from, std::size_t count) {
  std::ifstream in(file, std::ios::binary);
  std::string beginning(kMeterRecordBytesV1, '\0');
  in.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  const std::size_t size = record_bytes_of(beginning);
  in.clear();
  in.seekg(static_cast<std::streamoff>(from * size));
  std::string bytes(count * size, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  return decode_records(bytes);
}

}  // namespace tidegate::worker
