#pragma once

#include <cstdint>
#include <string>

#include "base/core/result.h"

namespace tidegate::bench {

/// User and system CPU time a process has used so far, from /proc. Fails: not_found.
Result<double> process_cpu_seconds(std::int64_t pid);
/// Of a process and all its children: those that live, and those that ended and were waited for. Fails: not_found.
Result<double> family_cpu_seconds(std::int64_t pid);
/// Resident memory, MiB. Fails: not_found.
Result<double> process_rss_mib(std::int64_t pid);

}  // namespace tidegate::bench
