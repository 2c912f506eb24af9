#include "scheduler/drivers/local/replica_limits.h"

#include <algorithm>
#include <cmath>

namespace tidegate::scheduler {

std::string_view means_name(LimitMeans means) {
  switch (means) {
    case LimitMeans::kNone: return "none";
    case LimitMeans::kProcess: return "process";
    case LimitMeans::kCgroup: return "cgroup";
  }
  return "none";
}

Result<LimitMeans> choose_means(const LimitOptions& options, Log& log) {
  LimitMeans means = LimitMeans::kNone;
  if (options.by == "cgroup") {
    TG_TRY(prepare_group_root(options.cgroup_dir, options.group()));
    means = LimitMeans::kCgroup;
  } else if (options.by != "none" && options.are_asked()) {
    means = LimitMeans::kProcess;
    if (options.by == "auto" && !options.cgroup_dir.empty()) {
      const Status ready = prepare_group_root(options.cgroup_dir, options.group());
      if (ready) {
        means = LimitMeans::kCgroup;
      } else {
        log.warn("replica_limits_without_cgroup", {kv("message", ready.error().message)});
      }
    }
  }
  log.info("replica_limits", {kv("by", means_name(means)), kv("cpu_weight", options.cpu_weight),
                              kv("memory_limit_bytes", options.memory_bytes_max)});
  return means;
}

int nice_of_weight(std::int64_t cpu_weight) {
  if (cpu_weight <= 0) return 0;
  const double steps = std::log(100.0 / static_cast<double>(cpu_weight)) / std::log(1.25);
  return static_cast<int>(std::clamp<long>(std::lround(steps), 0, 19));
}

}  // namespace tidegate::scheduler
