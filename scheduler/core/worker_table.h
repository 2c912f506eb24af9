#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/core/fleet_types.h"

namespace tidegate::scheduler {

/// Who is out there: the newest report of every worker, and who may be routed to.
///
/// A worker is live from its first report until it has been silent for `silent_after`, its link has been closed for
/// `link_grace` without a new one, or its process is known dead. Only live workers have routes. A lost one that
/// reports again is live again: it kept serving all the time.
class WorkerTable {
 public:
  struct Limits {
    Duration silent_after = std::chrono::seconds(3);
    /// A worker reconnects within tens of milliseconds; a dead one should not keep its route for the whole silence.
    Duration link_grace = std::chrono::seconds(1);
    /// How long a lost worker stays in lists.
    Duration forget_after = std::chrono::seconds(60);
  };

  struct Worker {
    WorkerReport report;
    Mono last_seen{};
    std::optional<LinkId> link;
    Mono link_closed_at{};  ///< valid while link is empty
    bool live = true;
  };

  enum class Registration : std::uint8_t {
    kNew,                ///< first report of this worker on this link
    kKnown,              ///< a heartbeat
    kDuplicateReplica,   ///< another live worker already is this replica; the newcomer must go
  };

  WorkerTable() = default;
  explicit WorkerTable(Limits limits) : limits_(limits) {}

  Registration report(LinkId link, WorkerReport report, Mono now);
  void link_closed(LinkId link, Mono now);
  /// Its process is known dead: gone at once, without waiting for silence. Returns what was forgotten.
  std::optional<WorkerReport> replica_died(std::string_view replica);
  /// Returns workers that were lost by this tick.
  std::vector<WorkerReport> tick(Mono now);

  /// By worker id.
  const std::map<std::string, Worker>& workers() const { return workers_; }
  /// The live worker of a replica, or null.
  const Worker* of_replica(std::string_view replica) const;
  /// Live workers that are ready or draining, by worker id.
  std::vector<Route> routes() const;

 private:
  Limits limits_;
  std::map<std::string, Worker> workers_;
  std::map<LinkId, std::string> worker_of_link_;
};

}  // namespace tidegate::scheduler
