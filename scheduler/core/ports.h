#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "scheduler/core/fleet_callers.h"
#include "scheduler/core/fleet_types.h"

/// What the scheduler needs from outside. Implementations: drivers/, adapters/; fakes in tests/support/scheduler.
namespace tidegate::scheduler {

/// Runs replicas somewhere. Called from the control thread only; no call may block for longer than starting a process.
/// Contract test: tests/unit/scheduler/drivers/runtime_driver_contract.h.
class RuntimeDriver {
 public:
  virtual ~RuntimeDriver() = default;
  /// Starting a replica that is alive changes nothing. Fails: failed_precondition/stale_term when a newer term has acted
  /// through any driver on the same state; internal/start_failed.
  virtual Status start(const ReplicaSpec& spec, Term term) = 0;
  /// Asks the replica to finish and end, and ends it by force after the driver's deadline. Returns at once. A replica
  /// that is unknown or dead is not an error, and one that is dead may be forgotten. Fails: failed_precondition/stale_term.
  virtual Status stop(const std::string& replica, Term term) = 0;
  /// Every replica this driver's state knows, also those an earlier scheduler started. One that ended unasked is seen,
  /// dead, until it is started again; one that ended as asked may be forgotten. Carries out overdue forced stops.
  virtual std::vector<ReplicaProcess> observe(Mono now) = 0;
  /// Whether observe() knows everything that runs. Until then it is not asked, so that nothing is started twice.
  virtual bool knows_what_runs() const { return true; }
  /// A term begins here. A driver whose state others share puts it on record, also when there is nothing to order.
  virtual void begin_term(Term) {}
  /// It ended: nothing that was ordered under it is begun any more. Returns at once.
  virtual void end_term() {}
};

/// Desired state. Every call is a transaction of its own; may block on the database, load() until its limit at most.
class DeploymentStore {
 public:
  virtual ~DeploymentStore() = default;
  virtual Result<std::vector<Deployment>> load(Deadline limit) = 0;
  /// Creates (version 0) or replaces the version that was read, if `term` still holds the lease: the write is fenced in the
  /// same transaction. Returns it with its new version; created_at is kept from the first.
  /// Fails: failed_precondition/not_leader, aborted/changed_meanwhile.
  virtual Result<Deployment> put(const Deployment& deployment, Term term) = 0;
  /// Fails: not_found/unknown_deployment, failed_precondition/not_leader.
  virtual Status remove(const std::string& name, Term term) = 0;
};

/// The right to lead, which one scheduler has at a time. One thread; calls block until their deadline at most.
class Lease {
 public:
  struct Held {
    Term term = 0;
    Mono valid_until{};  ///< act no later than this
  };
  virtual ~Lease() = default;
  /// Takes it when it is free, renews it when it is ours. nullopt: somebody else has it.
  virtual Result<std::optional<Held>> acquire(Deadline deadline) = 0;
  /// Gives it up at once. Nothing happens when it is not ours.
  virtual Status release(Deadline deadline) = 0;
  /// Says that we stopped acting: the next acquire begins a new term.
  virtual void lapse() = 0;
};

/// Who a bearer token stands for, as billing knows. Thread-safe; blocks until the deadline at most.
class CallerDirectory {
 public:
  virtual ~CallerDirectory() = default;
  /// Fails: unauthenticated/bad_token, permission_denied/... (known, without a role), and unavailable/callers_unknown
  /// when it cannot be found out: then nobody is let in.
  virtual Result<FleetCaller> who_is(const std::string& token, Deadline deadline) = 0;
};

}  // namespace tidegate::scheduler
