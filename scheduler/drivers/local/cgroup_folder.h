#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include "base/core/result.h"

/// Groups of control groups version 2 (the kernel's cgroup-v2.rst), one a run of a replica, in a folder that was
/// delegated to us. A group is a folder of the kernel's file system: made and removed as one, its settings are files.
namespace tidegate::scheduler {

struct GroupLimits {
  std::int64_t cpu_weight = 0;          ///< cpu.weight, 1..10000, 100 is ordinary; 0: left as it is
  std::int64_t memory_bytes_max = 0;    ///< memory.max; 0: none
};

/// Has the controllers that `limits` asks for handed down from `root` to the groups in it.
/// Fails: failed_precondition/limits_impossible, with what is missing and the fix.
Status prepare_group_root(const std::filesystem::path& root, const GroupLimits& limits);

/// Makes the group `name` in `root`, with its limits and without a process. Where the limit of memory ends one process of
/// it, it ends all. Fails, and leaves nothing: internal/limits_not_set.
Result<std::filesystem::path> make_group(const std::filesystem::path& root, const std::string& name, const GroupLimits& limits);

/// Why the kernel killed what ran there, for a person; nullopt: it did not, for want of memory, or the group is gone.
std::optional<std::string> memory_kill_of(const std::filesystem::path& group);

/// How a group is removed. The kernel refuses one in which a process lives, so that rmdir() is safe at any time.
using RemoveGroup = bool (*)(const std::filesystem::path& group);
bool remove_group(const std::filesystem::path& group);

/// The start of the name of every group of ours.
inline constexpr const char* kGroupPrefix = "tidegate-";
/// Removes the groups of ours in `root` that are not in `keep`: what a scheduler that died left. Returns how many.
std::size_t sweep_groups(const std::filesystem::path& root, const std::set<std::string>& keep, RemoveGroup remove_one);

}  // namespace tidegate::scheduler
