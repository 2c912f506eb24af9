#include "scheduler/core/reconciler.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace tidegate::scheduler {

namespace {

template <typename Map>
auto find_or_null(const Map& map, const std::string& key) -> const typename Map::mapped_type* {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : &found->second;
}

}  // namespace

void Reconciler::begin_term(Mono now, Wall newer_than) {
  slots_.clear();
  statuses_.clear();
  term_began_ = now;
  newer_than_ = newer_than;
}

Reconciler::Slot& Reconciler::slot_of(const std::string& replica) {
  return slots_.try_emplace(replica, settings_, rng_.next()).first->second;
}

void Reconciler::fail_slot(Slot& slot, std::string why, Mono now) {
  ++slot.failures_in_row;
  ++failures_total_;
  slot.last_failure = std::move(why);
  slot.not_before = now + slot.backoff.next();
  slot.phase = Phase::kAbsent;
}

void Reconciler::start_failed(const std::string& replica, const std::string& why, Mono now) {
  fail_slot(slot_of(replica), "could not be started: " + why, now);
}

/// Moves the slot to what is really there.
void Reconciler::observe(Slot& slot, const ReplicaProcess* process, const ReplicaWorker* worker, Mono now) {
  const bool process_alive = process != nullptr && process->alive;
  const bool process_dead = process != nullptr && !process->alive;
  if (worker != nullptr) slot.last_live = now;
  slot.waits_for = process_alive && worker == nullptr ? process->waits_for : "";

  if (process_dead && slot.dead_incarnation != process->incarnation) {
    slot.dead_incarnation = process->incarnation;
    const bool was_ours = slot.phase == Phase::kStarting || slot.phase == Phase::kReady;
    if (was_ours) {
      // "killed at its memory limit of ..." is a sentence of its own
      fail_slot(slot, (process->exit.starts_with("killed") ? "was " : "ended with ") + process->exit, now);
    } else {
      slot.phase = Phase::kAbsent;  // stopped as asked, or dead before our time
    }
    return;
  }
  const bool runs = process_alive || worker != nullptr;
  switch (slot.phase) {
    case Phase::kAbsent:
      if (!runs) return;
      // Adopted: an earlier scheduler started it.
      slot.phase = Phase::kStarting;
      slot.started_at = now;
      slot.last_live = now;
      slot.started_before = true;
      break;
    case Phase::kStopping:
      if (!runs) slot.phase = Phase::kAbsent;
      return;
    case Phase::kStarting:
    case Phase::kReady:
      // Neither the driver nor a worker knows it any more. A replica just started may not have been seen yet.
      if (!runs && process == nullptr && (slot.seen_process || slot.phase == Phase::kReady)) {
        fail_slot(slot, "disappeared", now);
      }
      break;
  }
  slot.seen_process = process_alive;
  if (slot.phase == Phase::kStarting && worker != nullptr && worker->ready) {
    slot.phase = Phase::kReady;
    slot.ready_since = now;
  }
  if (slot.phase == Phase::kReady && worker != nullptr && now - slot.ready_since >= settings_.stable_after) {
    slot.failures_in_row = 0;
    slot.backoff.reset();
  }
}

void Reconciler::act(Slot& slot, const DesiredDeployment& desired, const ReplicaSpec& spec,
                     const ReplicaProcess* process, const ReplicaWorker* worker, bool may_replace, Mono now,
                     std::vector<FleetAction>& actions) {
  const bool process_alive = process != nullptr && process->alive;
  switch (slot.phase) {
    case Phase::kAbsent: {
      const bool has_history = process == nullptr && desired.deployment.created_at < newer_than_;
      if (has_history && !slot.started_before && now - term_began_ < settings_.adoption_grace) return;
      if (now < slot.not_before) return;
      if (slot.started_before) {
        ++slot.restarts;
        ++restarts_total_;
      }
      slot.phase = Phase::kStarting;
      slot.started_at = now;
      slot.last_live = now;
      slot.seen_process = false;
      slot.started_before = true;
      actions.push_back(StartReplica{spec});
      return;
    }
    case Phase::kStarting:
      if (now - slot.started_at < settings_.start_limit) break;
      fail_slot(slot, "was not ready in time", now);
      slot.phase = Phase::kStopping;
      actions.push_back(StopReplica{spec.replica});
      return;
    case Phase::kReady:
      if (!process_alive || worker != nullptr || now - slot.last_live < settings_.hung_after) break;
      fail_slot(slot, "runs but has been silent", now);
      slot.phase = Phase::kStopping;
      actions.push_back(StopReplica{spec.replica});
      return;
    case Phase::kStopping: return;
  }
  if (process_alive && process->spec_digest != spec.digest() && may_replace) {
    slot.phase = Phase::kStopping;
    slot.not_before = now;
    actions.push_back(StopReplica{spec.replica});
  }
}

std::vector<FleetAction> Reconciler::reconcile(const std::vector<DesiredDeployment>& desired,
                                               const std::map<std::string, ReplicaProcess>& processes,
                                               const std::map<std::string, ReplicaWorker>& workers, Mono now) {
  std::vector<FleetAction> actions;
  std::set<std::string> wanted;
  for (const DesiredDeployment& one : desired) {
    for (const ReplicaSpec& spec : one.replicas) {
      wanted.insert(spec.replica);
      observe(slot_of(spec.replica), find_or_null(processes, spec.replica), find_or_null(workers, spec.replica), now);
    }
    // A changed spec is rolled out one replica at a time, each only while all others serve.
    for (const ReplicaSpec& spec : one.replicas) {
      const bool others_ready = std::all_of(one.replicas.begin(), one.replicas.end(), [&](const ReplicaSpec& other) {
        return other.replica == spec.replica || slot_of(other.replica).phase == Phase::kReady;
      });
      act(slot_of(spec.replica), one, spec, find_or_null(processes, spec.replica), find_or_null(workers, spec.replica),
          others_ready, now, actions);
    }
  }

  std::map<std::string, DeploymentStatus> statuses;
  for (const auto& [replica, process] : processes) {
    if (wanted.contains(replica)) continue;
    Slot& slot = slot_of(replica);
    const bool is_ours = slot.phase == Phase::kStopping;  // the driver was told, and forgets it by itself
    observe(slot, &process, find_or_null(workers, replica), now);
    if (!process.alive) {
      // Told to stop by a scheduler that did not live to see it end, or dead before it was unwanted: nobody waits for it.
      const bool is_known = std::exchange(slot.forgotten, process.incarnation) == process.incarnation;
      if (!is_known && !is_ours) actions.push_back(StopReplica{replica});
      continue;
    }
    if (slot.phase != Phase::kStopping) actions.push_back(StopReplica{replica});
    slot.phase = Phase::kStopping;
    statuses[process.deployment].phase = DeploymentPhase::kDeleting;
  }
  for (const auto& [replica, worker] : workers) {
    if (wanted.contains(replica) || processes.contains(replica) || worker.deployment.empty()) continue;
    actions.push_back(DrainWorker{worker.worker_id});
  }
  for (const DesiredDeployment& one : desired) statuses[one.deployment.name] = status_of(one, now);
  statuses_ = std::move(statuses);
  std::erase_if(slots_, [&](const auto& entry) {
    return !wanted.contains(entry.first) && !processes.contains(entry.first);
  });
  return actions;
}

DeploymentStatus Reconciler::status_of(const DesiredDeployment& desired, Mono now) const {
  DeploymentStatus status;
  if (desired.replicas.empty() && desired.deployment.replicas > 0) {
    return {.phase = DeploymentPhase::kDegraded, .message = "the catalogue no longer has this model and variant"};
  }
  bool any_starting = false;
  bool any_failed = false;
  std::string waiting;
  for (const ReplicaSpec& spec : desired.replicas) {
    const Slot* slot = find_or_null(slots_, spec.replica);
    if (slot == nullptr) continue;
    status.replicas_ready += slot->phase == Phase::kReady ? 1 : 0;
    any_starting = any_starting || slot->phase == Phase::kStarting;
    if (slot->phase == Phase::kStarting && waiting.empty() && !slot->waits_for.empty()) {
      waiting = fmt::format("{} waits: {}", spec.replica, slot->waits_for);
    }
    if (slot->phase == Phase::kReady || slot->failures_in_row == 0) continue;
    any_failed = any_failed || slot->failures_in_row >= settings_.crash_loop_failures;
    status.message = fmt::format("{} {}; {} failures in a row", spec.replica, slot->last_failure, slot->failures_in_row);
    if (slot->not_before > now) {
      status.message += fmt::format(", next start in {:.1f} s", in_seconds(slot->not_before - now));
    }
  }
  if (status.replicas_ready == desired.deployment.replicas) {
    status.phase = DeploymentPhase::kReady;
  } else if (any_failed || (status.replicas_ready > 0 && !status.message.empty())) {
    status.phase = DeploymentPhase::kDegraded;
  } else if (any_starting || !status.message.empty()) {
    status.phase = DeploymentPhase::kStarting;
  } else {
    status.phase = DeploymentPhase::kPending;
  }
  if (status.message.empty()) status.message = std::move(waiting);
  return status;
}

std::string Reconciler::failure_of(const std::string& replica) const {
  const Slot* slot = find_or_null(slots_, replica);
  return slot == nullptr || slot->failures_in_row == 0 || slot->phase == Phase::kReady ? std::string() : slot->last_failure;
}

bool Reconciler::is_crash_loop(const std::string& replica) const {
  const Slot* slot = find_or_null(slots_, replica);
  return slot != nullptr && slot->phase != Phase::kReady && slot->failures_in_row >= settings_.crash_loop_failures;
}

bool Reconciler::is_starting(const std::string& replica) const {
  const Slot* slot = find_or_null(slots_, replica);
  return slot != nullptr && slot->phase == Phase::kStarting;
}

std::int32_t Reconciler::restarts(const std::string& replica) const {
  const Slot* slot = find_or_null(slots_, replica);
  return slot == nullptr ? 0 : slot->restarts;
}

}  // namespace tidegate::scheduler
