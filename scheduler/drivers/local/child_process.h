#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/core/result.h"

/// The few system calls behind the local driver.
namespace tidegate::scheduler {

/// What a process is held to before it begins to be the program.
struct ChildLimits {
  int nice = 0;                      ///< 0..19; no lower than ours
  std::int64_t data_bytes_max = 0;   ///< RLIMIT_DATA, no higher than ours; 0: ours
  std::filesystem::path cgroup;      ///< that it joins; empty: ours
};

/// Starts a program in a session of its own (it outlives us and our terminal), with standard output and error appended
/// to `log`. Returns its pid. Fails: internal/start_failed, also when a limit could not be set: nothing runs without.
Result<std::int64_t> spawn_detached(const std::vector<std::string>& command, const std::filesystem::path& log,
                                    const ChildLimits& limits = {});

/// Start time of a live process in clock ticks since boot; nullopt when it is gone or a zombie.
std::optional<std::uint64_t> start_ticks_of(std::int64_t pid);

struct ChildState {
  bool is_ours = false;             ///< a child of ours that has not ended, or not wholly: its first thread alone may have
  std::optional<std::string> exit;  ///< of one that ended, and is collected now: "exit status 1", "signal 9"
};
/// Collects our own child if it has ended.
ChildState collect(std::int64_t pid);

/// A TCP port of the loopback that is free now.
Result<std::uint16_t> free_loopback_port();

}  // namespace tidegate::scheduler
