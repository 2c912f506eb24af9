#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/core/result.h"

namespace tidegate::bench {

/// User and system CPU time a process has used so far, from /proc. Fails: not_found.
Result<double> process_cpu_seconds(std::int64_t pid);
/// Of a process and all its children: those that live, and those that ended and were waited for. Fails: not_found.
Result<double> family_cpu_seconds(std::int64_t pid);
/// The same as process_cpu_seconds to the nanosecond, summed over the threads that live now (schedstat): for windows of a
/// few seconds, where ticks of 10 ms are coarse. A process that ends threads within the window is told too little of.
/// Falls back to process_cpu_seconds on a kernel without schedstat. Fails: not_found.
Result<double> thread_cpu_seconds(std::int64_t pid);
/// Of each core since the machine started: {busy, all} in ticks. Empty when /proc/stat cannot be read.
struct CoreTicks {
  double busy = 0;
  double all = 0;
};
std::vector<CoreTicks> core_ticks();
/// Resident memory, MiB. Fails: not_found.
Result<double> process_rss_mib(std::int64_t pid);

}  // namespace tidegate::bench
