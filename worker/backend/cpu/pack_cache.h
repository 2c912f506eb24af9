#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/core/result.h"
#include "worker/backend/cpu/isa.h"
#include "worker/backend/cpu/pack_file.h"
#include "worker/model/model_spec.h"

namespace tidegate::worker {

/// What decides how weights are packed, as text: the weights' digest, the shape of the model, the instruction set and the
/// layout of panels. Equal keys, equal pack files.
std::string pack_key(const ModelSpec& spec, std::string_view weights_digest, CpuIsa isa, bool with_mtp);

/// The file is at fault for what PackCache::find failed with, and is to be written again. Anything else is of the moment, as when
/// no file handle is left: the file is as good as it was.
bool is_useless_pack(const Error& error);

/// A folder of pack files (pack_file.h), shared by the workers of one user on one machine, with a limit on its size: those
/// used longest ago go first, by the files' modification times. Nothing in it is needed: whatever is missing, foreign or
/// broken is made again from the weights.
///
/// It also remembers digests of weight files by their identity (Checkpoint::fingerprint), since hashing 10 GB takes longer
/// than everything else at a start. A remembered digest is believed as long as nobody has touched the files.
class PackCache {
 public:
  struct Settings {
    std::int64_t bytes_max = 0;  ///< of all files
    /// How long another worker that packs is waited for: half of what a start may take is left for packing in memory.
    std::chrono::milliseconds lock_limit = std::chrono::minutes(5);
    /// What the disk below a folder still takes; nullopt: not known. Empty: the system is asked.
    std::function<std::optional<std::int64_t>(const std::filesystem::path& folder)> free_bytes;
  };

  /// Creates the folder, for this user alone. Fails: failed_precondition/foreign_cache (owned by another user, or others may
  /// write in it), internal/file_error.
  static Result<PackCache> open(const std::filesystem::path& folder, Settings settings);
  static Result<PackCache> open(const std::filesystem::path& folder, std::int64_t bytes_max) {
    return open(folder, Settings{.bytes_max = bytes_max, .free_bytes = {}});
  }

  [[nodiscard]] std::optional<std::string> find_digest(std::string_view fingerprint) const;
  /// Best effort: a digest that is not remembered is computed again.
  void remember_digest(std::string_view fingerprint, std::string_view digest) const;

  /// Counts as a use. Fails: as PackFile::open.
  Result<PackFile> find(std::string_view key, PackCheck check) const;

  /// find(), or a new file filled by `fill`. One process at a time packs: another that wants the same waits and finds it; the
  /// kernel lets it go on when the first one dies. Old files go until the new one has room, within the limit and on the disk;
  /// none where all of them together would not make it. Half-written ones of the dead go too.
  /// Fails: resource_exhausted/{pack_too_large (beyond the limit), disk_full}, unavailable/pack_busy (another one has packed for
  /// Settings::lock_limit), as find() does of a file that is not at fault, as PackWriter and `fill` do.
  Result<PackFile> find_or_build(std::string_view key, std::int64_t bytes, PackCheck check,
                                 const std::function<void(PackStore&)>& fill) const;
  /// For a file that find() gave and that was of no use.
  void discard(std::string_view key) const;

 private:
  PackCache(std::filesystem::path folder, Settings settings) : folder_(std::move(folder)), settings_(std::move(settings)) {}
  [[nodiscard]] std::filesystem::path path_of(std::string_view key) const;
  Status make_room(std::int64_t bytes, const std::filesystem::path& keep) const;
  [[nodiscard]] std::optional<std::int64_t> free_bytes() const;
  void remove_unfinished() const;
  std::filesystem::path folder_;
  Settings settings_;
};

}  // namespace tidegate::worker
