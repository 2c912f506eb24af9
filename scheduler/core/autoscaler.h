#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "scheduler/core/autoscale.h"
#include "scheduler/core/demand_book.h"
#include "scheduler/core/fleet_types.h"
#include "scheduler/core/worker_table.h"

namespace tidegate::scheduler {

/// The one writer of how many replicas each deployment has. Gathers what autoscale() wants to see, keeps its states,
/// and shares a pool's demand among the deployments that serve it. Part of Fleet; one thread.
class Autoscaler {
 public:
  /// What a deployment's scaling decided, when it changed something.
  struct Change {
    std::string deployment;
    std::int32_t before = 0;
    AutoscaleDecision made;
  };
  struct Totals {
    std::int64_t ups = 0;
    std::int64_t downs = 0;
    std::int64_t reversals = 0;  ///< a move in the other direction than the one before
  };

  explicit Autoscaler(AutoscaleSettings settings) : settings_(settings) {}

  /// Forgets every state and every report: a new leader begins with what runs.
  void begin_term();
  void on_demand(DemandReport report, Mono now) { book_.report(std::move(report), now); }
  /// A start was ordered: from here until it serves is what is measured.
  void on_replica_start(const std::string& replica, Mono now) { ordered_[replica] = now; }

  /// Decides where it is time to. `began`: of the term; deployments older than that begin with the replicas that run.
  std::vector<Change> run(const std::map<std::string, Deployment>& deployments,
                          const std::map<std::string, ReplicaProcess>& processes, const WorkerTable& workers,
                          Wall began, Mono now, Wall wall);

  /// How many replicas it is to have: decided here, or `replicas` when its scaling is off.
  std::int32_t replicas_of(const Deployment& deployment) const;
  /// Null when it is off or has not been decided yet.
  const AutoscaleDecision* decision_of(const std::string& deployment) const;
  /// Zero: none became ready here yet.
  Duration time_to_ready(const std::string& deployment) const;
  const Totals& totals() const { return totals_; }
  std::size_t gateways(Mono now) const { return book_.gateways(now); }

 private:
  struct Entry {
    AutoscaleState state;
    DemandBook::Mark demand;
    Mono next{};
    std::deque<Duration> ready_times;  ///< the newest, at most kReadyTimes
    int direction = 0;                 ///< of the last move
  };

  AutoscaleObservation observe(const Deployment& deployment, Entry& entry, const WorkerTable& workers, double share,
                               Mono now);
  void measure_starts(const std::map<std::string, Deployment>& deployments, const WorkerTable& workers, Mono now);
  double share_of(const Deployment& deployment, const std::map<std::string, Deployment>& deployments) const;
  std::int32_t surplus_for(const Deployment& batch, const std::map<std::string, Deployment>& deployments) const;
  void count(Entry& entry, std::int32_t before, std::int32_t after);

  AutoscaleSettings settings_;
  DemandBook book_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, Mono> ordered_;  ///< by replica
  Totals totals_;
};

/// Minutes since Monday 00:00 on the wall clock of an IANA zone; of UTC when the zone is unknown.
std::int32_t week_minute_of(const std::string& zone, Wall wall);

}  // namespace tidegate::scheduler
