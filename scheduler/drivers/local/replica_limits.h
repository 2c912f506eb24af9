#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/log.h"
#include "base/core/result.h"
#include "scheduler/drivers/local/cgroup_folder.h"

namespace tidegate::scheduler {

/// By what a replica is held to its share of the processor and its limit of memory.
enum class LimitMeans : std::uint8_t {
  kNone,     ///< by nothing
  kProcess,  ///< by what a process has of its own: its nice value, and RLIMIT_DATA
  kCgroup,   ///< by a control group of its own (version 2)
};

/// As the operator wrote it, for each replica of this machine.
struct LimitOptions {
  std::string by = "auto";            ///< "auto" | "cgroup" | "process" | "none"
  std::string cgroup_dir;             ///< delegated to the scheduler
  std::int64_t cpu_weight = 0;        ///< 1..10000, 100 is ordinary; 0: none
  std::int64_t memory_bytes_max = 0;  ///< 0: none

  bool are_asked() const { return cpu_weight > 0 || memory_bytes_max > 0; }
  GroupLimits group() const { return {cpu_weight, memory_bytes_max}; }
};

/// "none" | "process" | "cgroup"
std::string_view means_name(LimitMeans means);

/// What this machine can do of what was asked, said in one line of the log. "auto" takes a group where local.cgroup_dir
/// is one, and the process's own means otherwise. Fails: failed_precondition/limits_impossible, with "cgroup" alone.
Result<LimitMeans> choose_means(const LimitOptions& options, Log& log);

/// The nice value with the same share beside an ordinary process: a step of it is a quarter (the kernel's
/// sched_prio_to_weight), so 100 is 0 and 10 is 10. Never below 0, which would need a privilege, nor above 19.
int nice_of_weight(std::int64_t cpu_weight);

}  // namespace tidegate::scheduler
