#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "scheduler/core/reconciler.h"
#include "scheduler/core/worker_table.h"

namespace tidegate::scheduler {

/// Where one replica is on its way from nothing to serving, or from serving to nothing, as far as it is really known: a
/// process that was started and has not spoken yet is "starting", whatever it does.
struct ReplicaProgress {
  std::string replica;
  std::int32_t revision = 1;
  /// "pending" | "starting" | "pull" | "verify" | "load" | "warm" | "healthy" | "draining" | "failed"
  std::string phase;
  std::int64_t bytes = 0;
  std::int64_t bytes_total = 0;
  std::int64_t ms = 0;
  std::string message;  ///< of a failed one
  std::string worker_id;
  std::string variant;
  std::string weights_digest;

  bool operator==(const ReplicaProgress&) const = default;
};

struct ReplicasSeen {
  const std::map<std::string, ReplicaProcess>& processes;
  const WorkerTable& workers;
  const Reconciler& reconciler;
};

/// Of the replicas of a deployment that are wanted or still run, by name. `leaving`: about to be told to stop.
std::vector<ReplicaProgress> replica_progress(const std::string& deployment, const std::set<std::string>& wanted,
                                              const std::set<std::string>& leaving, const ReplicasSeen& seen);

}  // namespace tidegate::scheduler
