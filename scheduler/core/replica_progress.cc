#include "scheduler/core/replica_progress.h"

#include <utility>

namespace tidegate::scheduler {

namespace {

std::string phase_of(const WorkerReport& report, bool is_leaving) {
  switch (report.state) {
    case WorkerState::kReady: return is_leaving ? "draining" : "healthy";
    case WorkerState::kDraining: return "draining";
    case WorkerState::kFailed: return "failed";
    case WorkerState::kLoading: break;
  }
  return report.phase.empty() ? "load" : report.phase;  // of a worker that does not say more
}

}  // namespace

std::vector<ReplicaProgress> replica_progress(const std::string& deployment, const std::set<std::string>& wanted,
                                              const std::set<std::string>& leaving, const ReplicasSeen& seen) {
  std::set<std::string> all = wanted;
  for (const auto& [replica, process] : seen.processes) {
    if (process.deployment == deployment && process.alive) all.insert(replica);
  }
  std::vector<ReplicaProgress> list;
  for (const std::string& replica : all) {
    ReplicaProgress one;
    one.replica = replica;
    one.revision = revision_of(replica);
    const bool is_wanted = wanted.contains(replica);
    const auto process = seen.processes.find(replica);
    const bool is_alive = process != seen.processes.end() && process->second.alive;
    std::string failure = seen.reconciler.failure_of(replica);
    if (const WorkerTable::Worker* worker = seen.workers.of_replica(replica)) {
      const WorkerReport& report = worker->report;
      one.phase = phase_of(report, leaving.contains(replica) || !is_wanted);
      one.bytes = report.phase_bytes;
      one.bytes_total = report.phase_bytes_total;
      one.ms = report.phase_ms;
      one.worker_id = report.worker_id;
      one.variant = report.variant;
      one.weights_digest = report.weights_digest;
    } else if (!is_wanted) {
      one.phase = "draining";
    } else if (!is_alive && !failure.empty()) {
      one.phase = "failed";
      one.message = std::move(failure);
    } else {
      one.phase = is_alive ? "starting" : "pending";
    }
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace tidegate::scheduler
