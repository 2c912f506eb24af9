#include "scheduler/core/worker_table.h"

#include <utility>

namespace tidegate::scheduler {

WorkerTable::Registration WorkerTable::report(LinkId link, WorkerReport report, Mono now) {
  if (!report.replica.empty()) {
    const Worker* holder = of_replica(report.replica);
    if (holder != nullptr && holder->report.worker_id != report.worker_id) return Registration::kDuplicateReplica;
  }
  auto [slot, is_new] = workers_.try_emplace(report.worker_id);
  Worker& worker = slot->second;
  const bool is_new_link = worker.link != link;
  if (is_new_link && worker.link) worker_of_link_.erase(*worker.link);
  worker.link = link;
  worker.last_seen = now;
  worker.live = true;
  worker_of_link_[link] = report.worker_id;
  worker.report = std::move(report);
  return is_new_link ? Registration::kNew : Registration::kKnown;
}

void WorkerTable::link_closed(LinkId link, Mono now) {
  const auto found = worker_of_link_.find(link);
  if (found == worker_of_link_.end()) return;
  Worker& worker = workers_.at(found->second);
  worker.link.reset();
  worker.link_closed_at = now;
  worker_of_link_.erase(found);
}

std::optional<WorkerReport> WorkerTable::replica_died(std::string_view replica) {
  for (auto it = workers_.begin(); it != workers_.end(); ++it) {
    if (it->second.report.replica != replica || !it->second.live) continue;
    if (it->second.link) worker_of_link_.erase(*it->second.link);
    WorkerReport gone = std::move(it->second.report);
    workers_.erase(it);
    return gone;
  }
  return std::nullopt;
}

std::vector<WorkerReport> WorkerTable::tick(Mono now) {
  std::vector<WorkerReport> lost;
  for (auto it = workers_.begin(); it != workers_.end();) {
    Worker& worker = it->second;
    const bool silent = now - worker.last_seen >= limits_.silent_after;
    const bool unlinked = !worker.link && now - worker.link_closed_at >= limits_.link_grace;
    if (worker.live && (silent || unlinked)) {
      worker.live = false;
      lost.push_back(worker.report);
    }
    if (!worker.live && now - worker.last_seen >= limits_.forget_after) {
      if (worker.link) worker_of_link_.erase(*worker.link);
      it = workers_.erase(it);
    } else {
      ++it;
    }
  }
  return lost;
}

const WorkerTable::Worker* WorkerTable::of_replica(std::string_view replica) const {
  for (const auto& [id, worker] : workers_) {
    if (worker.live && worker.report.replica == replica) return &worker;
  }
  return nullptr;
}

std::vector<Route> WorkerTable::routes() const {
  std::vector<Route> routes;
  for (const auto& [id, worker] : workers_) {
    const WorkerReport& report = worker.report;
    const bool serves = report.state == WorkerState::kReady || report.state == WorkerState::kDraining;
    if (!worker.live || !serves) continue;
    routes.push_back({.worker_id = id,
                      .address = report.address,
                      .model = report.model,
                      .variant = report.variant,
                      .engine = report.engine,
                      .weights_digest = report.weights_digest,
                      .region = report.region,
                      .pool = report.pool,
                      .context_max = report.context_max,
                      .sequences_max = report.sequences_max,
                      .draining = report.state == WorkerState::kDraining,
                      .arm = arm_name(report.deployment, revision_of(report.replica))});
  }
  return routes;
}

}  // namespace tidegate::scheduler
