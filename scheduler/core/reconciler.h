#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/core/backoff.h"
#include "scheduler/core/fleet_types.h"

namespace tidegate::scheduler {

struct StartReplica {
  ReplicaSpec spec;
};
/// Graceful first, forced after the driver's deadline.
struct StopReplica {
  std::string replica;
};
/// For a worker that no driver process stands behind.
struct DrainWorker {
  std::string worker_id;
};
using FleetAction = std::variant<StartReplica, StopReplica, DrainWorker>;

/// What is known of a replica's worker, if one is live.
struct ReplicaWorker {
  std::string worker_id;
  std::string deployment;
  bool ready = false;
};

struct DesiredDeployment {
  Deployment deployment;
  std::vector<ReplicaSpec> replicas;
};

/// Brings the replicas that run closer to those wanted. Level-triggered: each call compares the whole of desired and
/// observed, so a lost event costs one round, never a replica. What it remembers is only what cannot be observed:
/// back-off, counts, and orders already given.
class Reconciler {
 public:
  struct Settings {
    Duration backoff_least = std::chrono::milliseconds(200);
    Duration backoff_most = std::chrono::seconds(30);
    /// Ready this long forgives earlier failures.
    Duration stable_after = std::chrono::seconds(60);
    /// From start to ready; weights may be large.
    Duration start_limit = std::chrono::minutes(10);
    /// A process that runs but whose worker was ready once and is not live any more hangs, or lost its way to us.
    Duration hung_after = std::chrono::seconds(30);
    /// After a new leader began: replicas of deployments older than that get this long to re-register before a
    /// missing one is started.
    Duration adoption_grace = std::chrono::seconds(2);
    std::int32_t crash_loop_failures = 3;
  };

  Reconciler(Settings settings, std::uint64_t seed) : settings_(settings), rng_(seed) {}

  /// Forgets everything remembered; `now` starts the adoption grace. `newer_than`: deployments created at or after
  /// that wall instant have no history to adopt and start at once.
  void begin_term(Mono now, Wall newer_than);

  /// `processes`: all the driver knows; `workers`: live workers by replica name.
  std::vector<FleetAction> reconcile(const std::vector<DesiredDeployment>& desired,
                                     const std::map<std::string, ReplicaProcess>& processes,
                                     const std::map<std::string, ReplicaWorker>& workers, Mono now);
  /// The driver could not carry out a StartReplica.
  void start_failed(const std::string& replica, const std::string& why, Mono now);

  /// As of the last reconcile.
  const std::map<std::string, DeploymentStatus>& statuses() const { return statuses_; }
  std::int32_t restarts(const std::string& replica) const;
  /// How it failed last, while it is not ready since; empty: it did not.
  std::string failure_of(const std::string& replica) const;
  /// It has failed so often in a row that nobody should wait for it.
  bool is_crash_loop(const std::string& replica) const;
  /// It was started and has not been ready since: it may still become so.
  bool is_starting(const std::string& replica) const;
  std::int64_t restarts_total() const { return restarts_total_; }
  std::int64_t start_failures_total() const { return failures_total_; }

 private:
  enum class Phase : std::uint8_t { kAbsent, kStarting, kReady, kStopping };
  struct Slot {
    Slot(const Settings& settings, std::uint64_t seed) : backoff(settings.backoff_least, settings.backoff_most, seed) {}
    Phase phase = Phase::kAbsent;
    Backoff backoff;
    Mono not_before{};     ///< of the next start
    Mono started_at{};
    Mono ready_since{};
    Mono last_live{};      ///< worker seen live
    bool seen_process = false;
    std::string dead_incarnation;  ///< whose death was already counted
    std::int32_t failures_in_row = 0;
    std::int32_t restarts = 0;
    bool started_before = false;
    std::string last_failure;
    std::string waits_for;  ///< of a process that has not begun to run
    std::string forgotten;  ///< incarnation that ended unwanted, and that the driver was told to forget
  };

  Slot& slot_of(const std::string& replica);
  void fail_slot(Slot& slot, std::string why, Mono now);
  void observe(Slot& slot, const ReplicaProcess* process, const ReplicaWorker* worker, Mono now);
  void act(Slot& slot, const DesiredDeployment& desired, const ReplicaSpec& spec, const ReplicaProcess* process,
           const ReplicaWorker* worker, bool may_replace, Mono now, std::vector<FleetAction>& actions);
  DeploymentStatus status_of(const DesiredDeployment& desired, Mono now) const;

  Settings settings_;
  Rng rng_;
  Mono term_began_{};
  Wall newer_than_{};
  std::map<std::string, Slot> slots_;
  std::map<std::string, DeploymentStatus> statuses_;
  std::int64_t restarts_total_ = 0;
  std::int64_t failures_total_ = 0;
};

}  // namespace tidegate::scheduler
