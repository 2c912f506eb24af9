#include "worker/backend/cpu/pack_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/encoding.h"
#include "base/crypto/sha256.h"
#include "worker/backend/cpu/kernels.h"

namespace tidegate::worker {
namespace {

constexpr std::string_view kPackSuffix = ".pack";
constexpr std::string_view kUnfinishedSuffix = ".unfinished";
constexpr std::string_view kDigestSuffix = ".digest";
constexpr std::string_view kDigestPrefix = "sha256:";
constexpr std::size_t kDigestBytes = 7 + 64;
/// Between two looks at a lock that another process holds.
constexpr int kLockLookMs = 20;
/// Of digests; each is a few hundred bytes. The oldest go beyond it.
constexpr std::size_t kDigestsMax = 256;

/// Not a secret: a name that is short and says nothing of the model.
std::string name_of(std::string_view text) {
  const Digest digest = sha256(text);
  return hex_encode(as_view(digest).substr(0, 16));
}

std::unexpected<Error> file_error(std::string_view what, const std::filesystem::path& path, int error) {
  return fail(Code::kInternal, "file_error", fmt::format("cannot {} {}: {}", what, path.string(), std::strerror(error)));
}

/// Held until destruction; the kernel ends it with the process.
class FolderLock {
 public:
  /// Whoever holds it may stand still, and would keep every start on the machine waiting with it.
  static Result<FolderLock> take(const std::filesystem::path& path, std::chrono::milliseconds limit) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return file_error("open", path, errno);
    FolderLock lock(fd);
    const SystemClock clock;
    const Deadline deadline = Deadline::after(clock.mono(), limit);
    while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) return file_error("lock", path, errno);
      if (deadline.is_expired(clock.mono())) {
        return fail(Code::kUnavailable, "pack_busy",
                    fmt::format("another worker has held {} for {} s", path.string(),
                                std::chrono::duration_cast<std::chrono::seconds>(limit).count()));
      }
      ::poll(nullptr, 0, kLockLookMs);
    }
    return lock;
  }
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

struct Stored {
  std::filesystem::path path;
  std::int64_t bytes = 0;
  std::filesystem::file_time_type used;
};

/// Files with this ending, longest unused first.
std::vector<Stored> stored_in(const std::filesystem::path& folder, std::string_view suffix) {
  std::vector<Stored> out;
  std::error_code error;
  std::filesystem::directory_iterator it(folder, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    if (!it->path().filename().string().ends_with(suffix)) continue;
    std::error_code gone;  // another worker may remove files at any time
    Stored one{it->path(), static_cast<std::int64_t>(it->file_size(gone)), {}};
    if (gone) continue;
    one.used = it->last_write_time(gone);
    if (!gone) out.push_back(std::move(one));
  }
  std::ranges::sort(out, {}, [](const Stored& stored) { return std::pair(stored.used, stored.path); });
  return out;
}

std::optional<std::int64_t> free_on_disk(const std::filesystem::path& folder) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) return std::nullopt;
  return static_cast<std::int64_t>(info.f_bavail) * static_cast<std::int64_t>(info.f_frsize);
}

std::unexpected<Error> disk_full(std::int64_t bytes, std::int64_t free, const std::filesystem::path& folder) {
  return fail(Code::kResourceExhausted, "disk_full",
              fmt::format("the packed weights have {} MiB; {} has room for {}", bytes >> 20, folder.string(), free >> 20),
              "weights.cache_dir");
}

void remove_file(const std::filesystem::path& path) {
  std::error_code ignored;  // what cannot be removed is met again the next time
  std::filesystem::remove(path, ignored);
}

}  // namespace

std::string pack_key(const ModelSpec& spec, std::string_view weights_digest, CpuIsa isa, bool with_mtp) {
  const MoeSpec& moe = spec.moe;
  const Fp8Formulas& fp8 = spec.formulas.fp8;
  std::string key = fmt::format("pack {}\nweights {}\nisa {}\npanel {} scales {} {}\n", PackFile::kVersion, weights_digest,
                                isa_name(isa), kPanelColumns, kScaleBlock, kQ8Block);
  key += fmt::format("architecture {} layers {} hidden {} vocab {} dense {}\n", spec.architecture, spec.layers, spec.hidden,
                     spec.vocab, spec.dense_intermediate);
  key += fmt::format("attention {} heads {} kv {} ranks {} {} dims {} {} {} bias {} value_first {}\n",
                     static_cast<int>(spec.attention), spec.heads, spec.kv_heads, spec.q_lora_rank, spec.kv_lora_rank,
                     spec.nope_dim, spec.rope_dim, spec.value_dim, spec.qkv_bias, spec.formulas.attention.kv_b_value_first);
  key += fmt::format("experts {} shared {} width {} from {} step {}\n", moe.experts, moe.shared_experts, moe.intermediate,
                     moe.first_moe_layer, moe.layer_step);
  key += fmt::format("drafts {} tied {} fp8 {} {} {} {} {}\n", with_mtp ? spec.mtp_layers : 0, spec.tied_head, spec.fp8,
                     static_cast<int>(fp8.scale), fp8.rows_over_blocks, fp8.first_column_block_only, fp8.exponent_bias);
  return key;
}

bool is_useless_pack(const Error& error) { return error.reason == "bad_pack" || error.reason == "foreign_pack"; }

Result<PackCache> PackCache::open(const std::filesystem::path& folder, Settings settings) {
  std::error_code error;
  if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return file_error("create", folder, errno);
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) return file_error("read", folder, errno);
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 022) != 0) {
    return fail(Code::kFailedPrecondition, "foreign_cache",
                fmt::format("{} must be a folder of the worker's own user that nobody else may write in (mode 0700)",
                            folder.string()));
  }
  return PackCache(folder, std::move(settings));
}

std::filesystem::path PackCache::path_of(std::string_view key) const { return folder_ / (name_of(key) + std::string(kPackSuffix)); }

std::optional<std::string> PackCache::find_digest(std::string_view fingerprint) const {
  const auto path = folder_ / (name_of(fingerprint) + std::string(kDigestSuffix));
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  // fingerprint, digest, line end, checksum of both as eight hexadecimal digits, line end
  const std::size_t size = fingerprint.size() + kDigestBytes + 1;
  if (text.size() != size + 9 || !text.starts_with(fingerprint)) return std::nullopt;
  if (text.substr(size) != fmt::format("{:08x}\n", crc32c(std::string_view(text).substr(0, size)))) return std::nullopt;
  std::string digest = text.substr(fingerprint.size(), kDigestBytes);
  if (!digest.starts_with(kDigestPrefix) || !hex_decode(std::string_view(digest).substr(kDigestPrefix.size()))) return std::nullopt;
  return digest;
}

void PackCache::remember_digest(std::string_view fingerprint, std::string_view digest) const {
  const std::vector<Stored> known = stored_in(folder_, kDigestSuffix);
  for (std::size_t i = 0; i + kDigestsMax <= known.size(); ++i) remove_file(known[i].path);
  std::string text = fmt::format("{}{}\n", fingerprint, digest);
  text += fmt::format("{:08x}\n", crc32c(text));
  const auto path = folder_ / (name_of(fingerprint) + std::string(kDigestSuffix));
  const auto unfinished = folder_ / fmt::format("{}.{}{}", name_of(fingerprint), ::getpid(), kUnfinishedSuffix);
  remove_file(unfinished);
  auto file = OutputFile::create(unfinished, OutputDigest::kNone);
  if (!file || !file->write(std::string_view(text)) || !file->finish()) return remove_file(unfinished);
  std::error_code error;
  std::filesystem::rename(unfinished, path, error);
  if (error) remove_file(unfinished);
}

Result<PackFile> PackCache::find(std::string_view key, PackCheck check) const {
  const std::filesystem::path path = path_of(key);
  TG_ASSIGN(PackFile file, PackFile::open(path, key, check));
  ::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);  // used now; without it, it only goes earlier
  return file;
}

Result<PackFile> PackCache::find_or_build(std::string_view key, std::int64_t bytes, PackCheck check,
                                          const std::function<void(PackStore&)>& fill) const {
  if (bytes > settings_.bytes_max) {
    return fail(Code::kResourceExhausted, "pack_too_large",
                fmt::format("the packed weights have {} MiB; weights.cache_mib allows {}", bytes >> 20, settings_.bytes_max >> 20),
                "weights.cache_mib");
  }
  TG_ASSIGN(const FolderLock lock, FolderLock::take(folder_ / "lock", settings_.lock_limit));
  Result<PackFile> found = find(key, check);
  const bool is_to_be_built = !found && (found.error().code == Code::kNotFound || is_useless_pack(found.error()));
  if (!is_to_be_built) return found;
  const std::filesystem::path path = path_of(key);
  remove_unfinished();
  TG_TRY(make_room(bytes, path));
  const auto unfinished = folder_ / (name_of(key) + std::string(kUnfinishedSuffix));
  const auto build = [&]() -> Status {
    TG_ASSIGN(PackWriter writer, PackWriter::create(unfinished));
    fill(writer);
    return writer.finish(key);
  };
  if (Status built = build(); !built) {
    remove_file(unfinished);
    return fail(std::move(built).error());
  }
  std::error_code error;
  std::filesystem::rename(unfinished, path, error);
  if (error) {
    remove_file(unfinished);
    return fail(Code::kInternal, "file_error", fmt::format("cannot name {}: {}", path.string(), error.message()));
  }
  TG_TRY(sync_folder(folder_));
  return find(key, PackCheck::kIndex);
}

void PackCache::discard(std::string_view key) const { remove_file(path_of(key)); }

std::optional<std::int64_t> PackCache::free_bytes() const {
  return settings_.free_bytes ? settings_.free_bytes(folder_) : free_on_disk(folder_);
}

/// Those that are mapped somewhere live on until they are let go; only their names go here, and the disk has no more room for it.
Status PackCache::make_room(std::int64_t bytes, const std::filesystem::path& keep) const {
  std::vector<Stored> others = stored_in(folder_, kPackSuffix);
  std::erase_if(others, [&](const Stored& pack) { return pack.path == keep; });
  std::int64_t stored = 0;
  for (const Stored& pack : others) stored += pack.bytes;
  const std::optional<std::int64_t> free = free_bytes();
  const std::int64_t lacking = free ? bytes - *free : 0;
  if (lacking > stored) return disk_full(bytes, *free, folder_);
  std::int64_t surplus = std::max(stored + bytes - settings_.bytes_max, lacking);
  for (const Stored& pack : others) {
    if (surplus <= 0) break;
    remove_file(pack.path);
    surplus -= pack.bytes;
  }
  const std::optional<std::int64_t> now_free = lacking > 0 ? free_bytes() : std::nullopt;
  if (now_free && *now_free < bytes) return disk_full(bytes, *now_free, folder_);
  return {};
}

/// Whoever holds the lock is the only one that packs; digests, which are written without it, have the writer's number.
void PackCache::remove_unfinished() const {
  for (const Stored& stored : stored_in(folder_, kUnfinishedSuffix)) remove_file(stored.path);
}

}  // namespace tidegate::worker
